"""What the controller knows of each worker and client between steps: what can go on, what waits, what is due."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.control.processes import Worker
from harness.history import Access, Source, Step
from harness.scenario import Call, Workload
from harness.schedule import FAULT_MARK
from harness.schedulers.base import Option
from harness.wire import Message

__all__ = ["SERVER", "TIMED", "ClientState", "Move", "WorkerState", "callers", "passed", "source_of"]


SERVER = "postgresql"
"""What is waited for where a server decides who goes on."""


TIMED = Access("clock", "r")
"""What steps touch for which the time matters."""

_OWN_WAITS = ("lock", "thread", "notify", "sleep")


class Move:
    """Something that can be done next: let a parked operation go, invoke a call, deliver a message, fire timers, a fault.

    ``key`` is the worker's name for a parked operation, ``client`` whose call is invoked, ``message`` what is delivered,
    ``errors`` what the operation could be made to end with. ``movable`` says that its task can be cancelled meanwhile.
    A fault may be one ``of`` an operation. A move with ``not_before``
    waits for that virtual time. ``whose`` are the lanes of the calls that it goes on with.
    One that is ``blocked`` waits inside SQLite for a lock, at most until ``deadline``; it and
    one that was refused a lock may go on when a lock on one of the files that it ``awaits`` is let go.
    ``cause`` is the number of the step that brought it about, -1 for none.
    """

    __slots__ = (
        "awaits", "blocked", "cause", "choice", "client", "continuing", "deadline", "detail", "errors", "family", "fault",
        "fresh", "key", "kind", "lane", "message", "movable", "not_before", "of", "order", "source", "state", "text", "whose",
    )  # fmt: skip

    def __init__(
        self,
        state: WorkerState,
        name: str,
        lane: str,
        kind: str,
        text: str = "",
        detail: str = "",
        source: Source | None = None,
        *,
        key: str | None = None,
        client: ClientState | None = None,
    ) -> None:
        fault = name.startswith(FAULT_MARK)
        self.choice = name if fault else f"{state.name}:{name}"
        self.order = len(self.choice), self.choice
        self.state, self.lane, self.kind, self.text, self.detail, self.source = state, lane, kind, text, detail, source
        self.family = lane.partition("/")[0]
        self.whose: tuple[str, ...] = (self.family,)
        self.key, self.client, self.fault = key, client, fault
        self.blocked, self.deadline, self.cause = False, 0.0, -1
        self.awaits: tuple[str, ...] = ()
        self.not_before: float | None = None
        self.message: Message | None = None
        self.of: Move | None = None
        self.errors: tuple[str, ...] = ()
        self.movable = True
        group = f"request {lane}" if kind == "request" else ""
        self.fresh = Option(self.choice, lane, False, fault, group, operation=f"{kind} {text}")
        self.continuing = self.fresh._replace(continues=True)

    def __repr__(self) -> str:
        return f"<Move {self.choice} {self.kind} {self.text}{' blocked' if self.blocked else ''}>"

    def step(
        self,
        now: float,
        accesses: Sequence[Access],
        waited: bool = False,
        resumed: bool = False,
        gave_up: bool = False,
        preempts: bool = False,
        error: str = "",
    ) -> Step:
        """Return the step that making this move was."""
        return Step(
            self.choice, self.state.worker.number, self.lane, self.kind, self.text, self.detail, self.source, now,
            tuple(accesses), waited, resumed, gave_up, preempts, error,
        )  # fmt: skip

    @property
    def due(self) -> float | None:
        """The virtual time until which it waits, if there is one."""
        until = self.deadline if self.blocked else self.not_before
        return None if until == math.inf else until

    @property
    def in_library(self) -> bool:
        """Whether it waits inside a library, whose time-out for a lock is an error, and not what the code itself waits for."""
        return self.blocked and self.kind not in _OWN_WAITS

    def gives_up(self, now: float) -> bool:
        """Whether it has waited for its lock as long as it may, and nobody released one."""
        return self.blocked and now >= self.deadline and bool(self.awaits)


class WorkerState:
    """One process during one execution, of the ``role`` that ``Scenario.roles`` says.

    ``alone``: at most one client calls it. ``requests`` are the lanes of those that it is serving, ``holds`` the files on which
    it holds a lock, ``sessions`` the server's processes for its connections, ``opens_quietly`` whether making its application
    touches nothing shared, ``down`` that it was killed and what takes its place has not begun. ``timer`` is when
    its event loop's next timer is due, ``timers`` when that of each call is, by the call's lane. ``loop`` is the lane of its
    turns, ``life`` whether the process lives, ``queue`` what they have in common with what makes tasks ready.
    """

    __slots__ = (
        "alone", "beginnings", "calls", "down", "holds", "life", "loop", "name", "opens_quietly", "parked", "process", "queue",
        "requests", "role", "sessions", "timer", "timers", "used", "worker",
    )  # fmt: skip

    def __init__(self, worker: Worker, role: str, alone: bool) -> None:
        self.worker, self.role, self.alone = worker, role, alone
        self.requests: dict[str, None] = {}
        self.holds: tuple[str, ...] = ()
        self.sessions: list[int] = []
        self.opens_quietly = True
        self.down = False
        self.name = f"w{worker.number}"
        self.loop = f"loop{worker.number}"
        self.process = Access(f"process:{worker.number}", "w")
        self.life = Access(f"life:{worker.number}", "w")
        self.queue = Access(f"queue:{worker.number}", "w")
        self.used = False
        self.beginnings = 0
        self.parked: dict[str, Move] = {}
        self.timer: tuple[float, Move] | None = None
        self.timers: tuple[tuple[str, float], ...] = ()
        self.calls: dict[str, ClientState] = {}

    def left_behind(self) -> list[Access]:
        """Return what the death of this process touches: the locks that it held, in files and in a server."""
        accesses = [self.process, self.life]
        if self.sessions:
            accesses += [Access(f"{kind}:{SERVER}", "w") for kind in ("data", "lock")]
            accesses.append(Access(f"lock:{SERVER} tables", "w"))
        for file in self.holds:
            accesses += [Access(f"data:{file}", "w"), Access(f"lock:{file}", "w")]
        return accesses


class ClientState:
    """A client during one execution: which call it makes next, whether one is under way, and has been cancelled."""

    __slots__ = ("busy", "calls", "cancelled", "lane", "name", "next_call")

    def __init__(self, name: str, calls: Sequence[Call]) -> None:
        self.lane = self.name = name
        self.calls = tuple(calls)
        self.next_call = 0
        self.busy = self.cancelled = False

    @property
    def call(self) -> Call | None:
        """The call it is about to make."""
        return self.calls[self.next_call] if not self.busy and self.next_call < len(self.calls) else None


_sources: dict[tuple[str, int, str, str], Source] = {}


def source_of(place: tuple[str, int, str, str] | None) -> Source | None:
    """Return a place as it came from a worker, as a value."""
    if place is None:
        return None
    source = _sources.get(place)
    if source is None:
        source = _sources[place] = Source(*place)
    return source


def callers(workload: Workload) -> list[int]:
    """Return for each worker how many clients will call it."""
    return [
        sum(any(call.worker == number for call in client.calls) for client in workload.clients)
        for number in range(workload.workers)
    ]


def passed(
    move: Move, news: Sequence[Message], accesses: list[Access], now: float, preempts: bool
) -> tuple[list[Step], Move, list[Access]]:
    """Make steps of what a worker passed without asking after *move*, as the beginning of *news* says.

    Return them, the move that the rest of *news* is about, and what that has touched so far.
    """
    steps: list[Step] = []
    for item in news:
        if item[0] != "passed":
            break
        _, lane, kind, text, detail, place, commuting = item
        accesses += [Access(resource, mode) for resource, mode in commuting]
        steps.append(move.step(now, accesses, False, move.blocked, False, preempts and not steps))
        move = Move(move.state, lane, lane, kind, text, detail, source_of(place))
        accesses = [move.state.process]
    return steps, move, accesses
