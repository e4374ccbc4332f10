"""Operations, the values that a linearizability check judges: the client, the call, its answer, and its time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from harness.values.history import Event, History

__all__ = ["UNKNOWN", "Operation", "Raised", "Unknown", "from_history"]

_LONGEST = 80


class Unknown:
    """The type of ``UNKNOWN``, its only instance."""

    _only: Unknown | None = None

    def __new__(cls) -> Unknown:
        """Return the only instance."""
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __reduce__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()
"""The result of an operation that gave its client no result: it stands for any result that the specification allows."""


class Raised(NamedTuple):
    """The result of an operation that ended with an error: the name of the error's type, and its text."""

    type: str
    text: str = ""

    def __str__(self) -> str:
        return f"raised {self.type}({self.text!r})" if self.text else f"raised {self.type}"


@dataclass(frozen=True, slots=True)
class Operation:
    """A call of one client: its name and arguments, its answer, and the positions between which it took effect.

    ``invoked`` and ``returned`` are positions in the history: an operation comes before another if it returned at a
    lower position than the other was invoked at; otherwise the two overlap. An operation whose ``returned`` is None
    never ended (Jepsen's *info*): it may take effect at any time after its invocation, or never, and its ``result`` is
    ``UNKNOWN``. An operation that certainly did not happen has no place in a history: leave it out. An operation that
    was refused has its refusal as its ``result`` (``False``, ``Raised(...)``), which the specification judges.
    """

    client: str
    name: str
    arguments: tuple[object, ...] = ()
    result: object = None
    invoked: int = 0
    returned: int | None = None

    @property
    def open(self) -> bool:
        """Whether the operation never returned."""
        return self.returned is None

    def __str__(self) -> str:
        asked = f"{self.client} {self.name}({', '.join(map(_short, self.arguments))})"
        if self.open:
            return f"{asked} (never returned)"
        return f"{asked} {self.result}" if isinstance(self.result, Raised) else f"{asked} -> {_short(self.result)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}...{text[-_LONGEST // 2 :]}"


def from_history(history: History, only: Collection[str] | None = None) -> list[Operation]:
    """Return the operations of a *history* of the harness, in the order of their invocation.

    *only* has the names of the wanted operations (default: all). The positions are those of the events in the history,
    which are in real-time order. A call that returned has its value as its result, and a call that raised has
    ``Raised``. A call that never ended, as when its worker died, is open and has the result ``UNKNOWN``.
    """
    ends = {(e.client, e.call): (at, e) for at, e in enumerate(history.events) if e.kind in ("ok", "fail")}
    return [
        _operation(event, at, *ends.get((event.client, event.call), (None, None)))
        for at, event in enumerate(history.events)
        if event.kind == "invoke" and (only is None or event.operation in only)
    ]


def _operation(begin: Event, invoked: int, returned: int | None, end: Event | None) -> Operation:
    result: object = UNKNOWN
    if end is not None:
        result = end.value if end.kind == "ok" else Raised(end.error, "" if end.value is None else str(end.value))
    return Operation(begin.client, begin.operation, tuple(begin.arguments), result, invoked, returned)
