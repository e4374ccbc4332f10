"""What the controller knows of each worker between steps: what is parked, blocked and due."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.control.processes import Worker
from harness.history import Source
from harness.scenario import Call, Client

__all__ = ["ClientState", "Parked", "WorkerState", "source_of"]


@dataclass(slots=True)
class Parked:
    """An operation that waits to be let go. ``not_before`` and ``deadline`` are virtual times.

    ``blocked`` says that it waits inside SQLite for a lock; ``retry_after`` is the count of lock releases it must see
    exceeded before trying again makes sense.
    """

    key: str
    lane: str
    kind: str
    text: str
    detail: str
    source: Source | None
    not_before: float | None = None
    blocked: bool = False
    deadline: float = 0.0
    retry_after: int = -1


@dataclass(slots=True)
class WorkerState:
    """One worker during one execution."""

    worker: Worker
    alone: bool = False
    """At most one client will call it."""
    concurrent: bool = False
    parked: dict[str, Parked] = field(default_factory=dict)
    timer: tuple[float, str, Source | None] | None = None
    calls: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Calls under way: lane to (client number, call number)."""
    incarnation: int = 0
    used: bool = False


@dataclass(slots=True)
class ClientState:
    """A client during one execution."""

    number: int
    client: Client
    next_call: int = 0
    busy: bool = False

    @property
    def lane(self) -> str:
        """The lane its calls run in."""
        return f"c{self.number}"

    @property
    def call(self) -> Call | None:
        """The call it is about to make."""
        calls = self.client.calls
        return calls[self.next_call] if not self.busy and self.next_call < len(calls) else None


def source_of(place: tuple[str, int, str] | None) -> Source | None:
    """Return a place as it came from a worker, as a value."""
    return Source(*place) if place is not None else None
