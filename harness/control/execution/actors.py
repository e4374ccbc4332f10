"""The controller's view of each worker and client between steps: possible moves, waits, timers, calls."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.boundary.wire import Message
from harness.control.testbed.processes import Worker
from harness.scenario import Call, Workload
from harness.schedulers.base import Option
from harness.values.history import Access, Source, Step
from harness.values.names import Choice, Task

__all__ = ["SERVER", "TIMED", "ClientState", "Move", "WorkerState", "callers", "passed", "source_of"]


SERVER = "postgresql"
"""The resource of waits that a database server ends: it decides which session goes on."""


TIMED = Access("clock", "r")
"""The access of steps that depend on virtual time."""

_OWN_WAITS = ("lock", "thread", "notify", "sleep")


class Move:
    """A possible next action: release a parked operation, invoke a call, deliver a message, fire timers, or a fault.

    ``key`` is the worker's name for a parked operation, ``client`` the client of the call that is invoked, ``message``
    the content that is delivered. ``errors`` are the faults with which the operation could be made to end, ``movable``
    says that its task can be cancelled meanwhile. ``of`` is the operation that a fault befalls, if it befalls one.
    ``whose`` are the lanes of the calls that the move goes on with. A move with ``not_before`` waits for that virtual
    time. One that is ``blocked`` waits inside a library or in memory, for a lock or another thread, at most until
    ``deadline``. It, and a move that was refused a lock, may go on when one of the resources that it ``awaits`` is
    released. ``cause`` is the number of the step that brought the move about, -1 for none.
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
        fault = Choice(name).is_fault
        self.choice = name if fault else f"{state.name}:{name}"
        self.order = len(self.choice), self.choice
        self.state, self.lane, self.kind, self.text, self.detail, self.source = state, lane, kind, text, detail, source
        self.family = Task(lane).family
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
        """Return the step that this move was, made at virtual time *now*."""
        return Step(
            self.choice, self.state.worker.number, self.lane, self.kind, self.text, self.detail, self.source, now,
            tuple(accesses), waited, resumed, gave_up, preempts, error,
        )  # fmt: skip

    @property
    def due(self) -> float | None:
        """The virtual time until which the move waits, None if there is none."""
        until = self.deadline if self.blocked else self.not_before
        return None if until == math.inf else until

    @property
    def in_library(self) -> bool:
        """Whether it waits inside a library, where a time-out is an error, and not in a wait of the code under test."""
        return self.blocked and self.kind not in _OWN_WAITS

    def gives_up(self, now: float) -> bool:
        """Whether the move's lock was not released before its deadline, so that it must give up."""
        return self.blocked and now >= self.deadline and bool(self.awaits)


class WorkerState:
    """The state of one process during one execution. ``role`` is one of ``Scenario.roles``.

    ``alone`` says that at most one client calls it, ``opens_quietly`` that opening its application has touched nothing
    shared so far, ``down`` that it was killed and its replacement has not begun. ``requests`` are the lanes of the
    requests that it is serving, ``holds`` the files on which it holds a lock, ``sessions`` the server's processes for
    its connections. ``timer`` is the virtual time and the move of its event loop's next timer, ``timers`` the time of
    each call's next one, by the call's lane. ``loop`` is the lane of the event loop's turns. ``process``, ``life`` and
    ``queue`` are accesses: to the memory of the process, to whether it lives, and to the event loop's queue, which
    turns share with the steps that make tasks ready.
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
        """Return the accesses of this process' death: to itself, and to its locks in files and in a server."""
        accesses = [self.process, self.life]
        if self.sessions:
            accesses += [Access(f"{kind}:{SERVER}", "w") for kind in ("data", "lock")]
            accesses.append(Access(f"lock:{SERVER} tables", "w"))
        for file in self.holds:
            accesses += [Access(f"data:{file}", "w"), Access(f"lock:{file}", "w")]
        return accesses


class ClientState:
    """A client during one execution: its next call, and whether that is under way (``busy``) or was cancelled."""

    __slots__ = ("busy", "calls", "cancelled", "lane", "name", "next_call")

    def __init__(self, name: str, calls: Sequence[Call]) -> None:
        self.lane = self.name = name
        self.calls = tuple(calls)
        self.next_call = 0
        self.busy = self.cancelled = False

    @property
    def call(self) -> Call | None:
        """The call that the client can make now; None if one is under way or none is left."""
        return self.calls[self.next_call] if not self.busy and self.next_call < len(self.calls) else None


_sources: dict[tuple[str, int, str, str], Source] = {}


def source_of(place: tuple[str, int, str, str] | None) -> Source | None:
    """Return the place that a worker has sent as a ``Source``, the same object for equal places; None for None."""
    if place is None:
        return None
    source = _sources.get(place)
    if source is None:
        source = _sources[place] = Source(*place)
    return source


def callers(workload: Workload) -> list[int]:
    """Return the number of clients that call each worker in *workload*."""
    return [
        sum(any(call.worker == number for call in client.calls) for client in workload.clients)
        for number in range(workload.workers)
    ]


def passed(
    move: Move, news: Sequence[Message], accesses: list[Access], now: float, preempts: bool
) -> tuple[list[Step], Move, list[Access]]:
    """Make steps of the operations that a worker passed without asking, from *move* on.

    The items at the beginning of *news* tell of them. *accesses* are those of *move* so far. Return the steps, the move
    that the rest of *news* is about, and the accesses of that so far.
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
