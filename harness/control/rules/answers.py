"""Caches the answers of rules that depend only on the shared state, the virtual time and the clients' results."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from harness.control.rules.kept_state import own_state
from harness.control.rules.virtual_view import Window
from harness.scenario import Check

__all__ = ["Answers"]

_REMEMBERED = 20_000
_WATCHED = 30
"""After being watched so many times, a group of rules is trusted to keep no state between two times it is asked."""


class Answers:
    """A cache of the answers of a scenario's rules, by their input, and by the virtual time if they read a clock.

    Rules that once looked at anything else (see ``Window``), or that keep state of their own from one time to the
    next, are asked every time from then on.
    """

    def __init__(self) -> None:
        self._known: dict[object, Any] = {}
        self._always: set[str] = set()
        self._asked: dict[str, int] = {}
        self._changed: set[str] = set()

    @property
    def look_elsewhere(self) -> bool:
        """Whether some rule depends on more than the shared state, the virtual time and the clients' results."""
        return bool(self._always)

    def forget(self) -> None:
        """Drop all remembered answers."""
        self._known.clear()

    def get(
        self,
        group: str,
        checks: Sequence[Check],
        key: Hashable,
        *,
        window: Callable[[], Window],
        ask: Callable[[], Any],
        moment: float,
    ) -> Any:
        """Return the answer of the rules *checks*, from the cache if they have answered for the same *key* before.

        Otherwise call *ask*, which asks them, inside the ``Window`` that *window* makes. *group* names the rules, *key*
        stands for all that they are given, *moment* is the virtual time in seconds. An exception of *ask* is not
        remembered.
        """
        whole = group, key
        if group not in self._always:
            for known in (whole, (whole, moment)):
                if known in self._known:
                    return self._known[known]
        asked = self._asked[group] = self._asked.get(group, 0) + 1
        watched = asked <= _WATCHED
        before = own_state(checks) if watched else ""
        with window() as looking:
            answer = ask()
        keeps = watched and own_state(checks) != before
        if looking.elsewhere or (keeps and group in self._changed):
            self._always.add(group)
        if keeps:
            # A single change may only have filled a cache, so rules are distrusted from the second on.
            self._changed.add(group)
        elif not looking.elsewhere:
            self._remember((whole, moment) if looking.clock else whole, answer)
        return answer

    def _remember(self, key: object, answer: Any) -> None:
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        self._known[key] = answer
