"""The history of one execution, as values: the steps of the workers and the answers to the clients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.values.names import Choice, Resource, Task
from harness.values.plain import Plain

__all__ = ["Access", "Event", "History", "Outcome", "Source", "Step", "looked_at_dates"]


class Source(NamedTuple):
    """A line of the code under test."""

    file: str
    line: int
    function: str
    caller: str = ""
    """Where in another file that function was called from, as ``file:line``."""

    def __str__(self) -> str:
        here = f"{self.file.rpartition('/')[2]}:{self.line}"
        return f"{here} < {self.caller}" if self.caller else here


class Access(NamedTuple):
    """That a step touched a shared *resource*: ``mode`` is ``r`` or ``w``; ``i`` and ``o`` are invocation and outcome.

    ``a`` is a change that commutes with others of its kind. Two accesses of one resource conflict when one is a write, or one
    is ``a`` and the other is not, or one is ``i`` and the other ``o``.
    """

    resource: str
    mode: str

    @property
    def what(self) -> Resource:
        """The resource, which can be asked for its kind and its name."""
        return Resource(self.resource)

    @property
    def writes_data(self) -> bool:
        """Whether it changes content that workers share."""
        return self.mode == "w" and self.what.is_data


class Step(NamedTuple):
    """One step of an execution: the operation that was let go, and the resources that it accessed.

    ``choice`` is the schedule's word for it, ``lane`` the task it belongs to (``c0``, ``c0/1`` for a task it
    started), ``kind`` is ``call``, ``sql``, ``fetch``, ``commit``, ``rollback``, ``close``, ``await``, ``timer``,
    ``sleep`` or a fault's name; ``text`` and ``detail`` are what ran (SQL and its parameters). ``now`` is virtual seconds.
    ``waited`` says that the step ended blocked on a lock; ``resumed`` that it went on from there; ``gave_up``
    that its time-out passed. ``preempts`` says that the task before could have gone on. ``error`` is the error
    that the operation ended with.
    """

    choice: str
    worker: int
    lane: str
    kind: str
    text: str
    detail: str
    source: Source | None
    now: float
    accesses: tuple[Access, ...] = ()
    waited: bool = False
    resumed: bool = False
    gave_up: bool = False
    preempts: bool = False
    error: str = ""

    @property
    def task(self) -> Task:
        """The task, which can be asked for its client."""
        return Task(self.lane)

    @property
    def is_fault(self) -> bool:
        """Whether the schedule made it by itself: a fault, or a delay."""
        return Choice(self.choice).is_fault

    @property
    def is_delay(self) -> bool:
        """Whether time passed in it while something could run."""
        return Choice(self.choice).is_delay

    @property
    def digest(self) -> str:
        """The operation that was about to run, without line numbers: replays compare it."""
        return f"{self.choice} {self.kind} {self.text} {self.detail}".rstrip()


class Event(NamedTuple):
    """One line of the history: a client's call was invoked, or ended.

    ``kind`` is ``invoke``, ``ok`` (returned ``value``), ``fail`` (raised; ``error`` is the exception's type and
    ``value`` its text) or ``info`` (nobody can know whether it happened: its worker died). ``step`` is the number
    of steps taken before the event, ``now`` virtual seconds. The vocabulary is Jepsen's.
    """

    kind: str
    client: str
    call: int
    worker: int
    operation: str
    arguments: tuple[Plain, ...]
    step: int
    now: float
    value: Plain = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A call and how it ended; ``kind`` as in ``Event``, or ``pending`` when it never did."""

    client: str
    call: int
    worker: int
    operation: str
    arguments: tuple[Plain, ...]
    kind: str
    value: Plain
    error: str
    invoked: int
    """Steps taken before the call was invoked."""
    ended: int | None
    """Steps taken before the call ended, or None."""

    @property
    def ok(self) -> bool:
        """Whether the call returned."""
        return self.kind == "ok"


@dataclass(frozen=True, slots=True)
class History:
    """The events of one execution in real-time order, and a description of everything left open after the last call."""

    events: tuple[Event, ...] = ()
    left_open: tuple[str, ...] = ()
    """Connections that were still in a transaction after the last call, one description each."""

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def outcomes(self, operation: str | None = None) -> list[Outcome]:
        """Return every call in the order of invocation, or only those of *operation*, with how it ended."""
        ends = {(event.client, event.call): event for event in self.events if event.kind != "invoke"}
        return [
            _outcome(event, ends.get((event.client, event.call)))
            for event in self.events
            if event.kind == "invoke" and operation in (None, event.operation)
        ]


def _outcome(begin: Event, end: Event | None) -> Outcome:
    return Outcome(
        client=begin.client,
        call=begin.call,
        worker=begin.worker,
        operation=begin.operation,
        arguments=begin.arguments,
        kind=end.kind if end else "pending",
        value=end.value if end else None,
        error=end.error if end else "",
        invoked=begin.step,
        ended=end.step if end else None,
    )


def looked_at_dates(steps: Sequence[Step]) -> bool:
    """Return whether the code under test read in *steps* when a file was changed."""
    return any(access.resource == "dates" for step in steps for access in step.accesses)
