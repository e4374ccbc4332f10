"""Puts labels in the place of secrets in an execution, before anything outside of it sees them.

Equal secrets get equal labels, different ones different labels, so that a reader (and a comparison) can still tell
whether two clients were given the same one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from harness.result import Execution
from harness.values.history import Event, History, Step
from harness.values.plain import Plain

__all__ = ["NAMES", "Redactor", "is_secret_name", "redacted", "same"]

NAMES = frozenset(
    {
        "access_token", "api_key", "apikey", "authorization", "bearer", "client_secret", "cookie", "passphrase", "passwd",
        "password", "private_key", "refresh_token", "secret", "session_key", "set_cookie", "token",
    }
)  # fmt: skip
"""A text under one of these names in what a client was told is a secret, whatever the case, and with ``-`` for ``_``."""

_SHORTEST = 8
"""A shorter text is too likely to be a part of something else to be looked for everywhere."""
_LABEL = re.compile(r"<secret [0-9]+>")
_CUT = 6
"""So many characters of a secret, and then dots, are one that was cut short for a text."""


class Redactor:
    """Knows the secrets of one history; *patterns* are regular expressions for more, wherever they match."""

    def __init__(self, events: Iterable[Event], patterns: Sequence[str] = ()) -> None:
        # By client and call, not by time: so an answer has the same label in another interleaving.
        told = sorted(
            (event for event in events if event.kind != "invoke"), key=lambda event: (event.client, event.call)
        )
        self._labels: dict[str, str] = {}
        for secret in (found for event in told for found in _secrets(event.value)):
            self._labels.setdefault(secret, f"<secret {len(self._labels) + 1}>")
        parts = [_one(secret) for secret in sorted(self._labels, key=len, reverse=True)]
        self._pattern = (
            re.compile("|".join([*parts, *(f"(?:{each})" for each in patterns)])) if parts or patterns else None
        )

    @property
    def idle(self) -> bool:
        """Whether there is nothing to look for."""
        return self._pattern is None

    def text(self, text: str) -> str:
        """Return *text* with labels in the place of secrets."""
        return text if self._pattern is None else self._pattern.sub(self._label, text)

    def _label(self, match: re.Match[str]) -> str:
        found = match.group()
        if not found:
            return ""
        whole = next((secret for secret in self._labels if found in _forms(secret) or _is_cut(found, secret)), found)
        return self._labels.setdefault(whole, f"<secret {len(self._labels) + 1}>")

    def value(self, value: Plain) -> Plain:
        """Return plain data with labels in the place of secrets."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(name): self.value(part) for name, part in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(map(self.value, value))
        return value


def is_secret_name(name: str) -> bool:
    """Return whether a text under *name* is a secret."""
    return name.lower().replace("-", "_") in NAMES


def redacted(execution: Execution, patterns: Sequence[str] = ()) -> tuple[Execution, Callable[[str], str]]:
    """Return *execution* without its secrets, and a function that removes them from any other text.

    Secrets are the texts of eight characters or more under one of ``NAMES`` in the answers to clients, and every match
    of *patterns*. The workload stays as it is, because a replay must make the same calls.
    """
    redactor = Redactor(execution.history, patterns)
    if redactor.idle:
        return execution, redactor.text
    history = execution.history
    failure = execution.failure
    clean = replace(
        execution,
        steps=tuple(_step(step, redactor) for step in execution.steps),
        history=History(
            tuple(_event(event, redactor) for event in history), tuple(map(redactor.text, history.left_open))
        ),
        failure=failure and replace(failure, message=redactor.text(failure.message)),
        stuck=redactor.text(execution.stuck),
    )
    return clean, redactor.text


def same(recorded: str, found: str) -> bool:
    """Return whether *found* equals *recorded*, where a label in the recording stands for any text."""
    if recorded == found:
        return True
    if "<secret " not in recorded:
        return False
    return re.fullmatch(".+".join(map(re.escape, _LABEL.split(recorded))), found, re.DOTALL) is not None


def _step(step: Step, redactor: Redactor) -> Step:
    text, detail, error = map(redactor.text, (step.text, step.detail, step.error))
    return step._replace(text=text, detail=detail, error=error)


def _event(event: Event, redactor: Redactor) -> Event:
    arguments = tuple(map(redactor.value, event.arguments))
    return event._replace(arguments=arguments, value=redactor.value(event.value), error=redactor.text(event.error))


def _secrets(value: Plain, *, named: bool = False) -> Iterator[str]:
    if isinstance(value, str):
        if named and len(value) >= _SHORTEST:
            yield value
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from _secrets(part, named=named or is_secret_name(name))
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _secrets(part, named=named)


def _one(secret: str) -> str:
    """Return the expression for a secret, whole or cut short."""
    whole = "|".join(map(re.escape, sorted(_forms(secret), key=len, reverse=True)))
    return rf"{whole}|{re.escape(secret[:_CUT])}[^\s'\"]*\.\.\."


def _forms(secret: str) -> set[str]:
    """Return how a secret may stand in a text."""
    return {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]}


def _is_cut(found: str, secret: str) -> bool:
    return "..." in found and secret.startswith(found.partition("...")[0])
