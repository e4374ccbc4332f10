"""Scenarios: the code to race, as data. A scenario is a frozen dataclass of functions and values, varied with ``replace``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import BadInput
from harness.faults import NONE, Faults
from harness.points import Point
from harness.project.applications import refusal_of_maker
from harness.values.plain import Plain
from harness.values.schedule import delays_in, faults_in
from harness.values.uncontrolled import check_allows

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from harness.checks.linearizability import Linearizability
    from harness.values.history import History

__all__ = [
    "DATABASES",
    "ISOLATIONS",
    "MOST_DELAYS",
    "Call",
    "Change",
    "Check",
    "Client",
    "Scenario",
    "Workload",
    "database",
    "is_url",
]

DATABASES = ("sqlite", "postgresql")
ISOLATIONS = ("warm", "fork")

_MOST_PATIENCE = 1_000_000
MOST_DELAYS = 10
"""More processes than that are not held up in one execution."""

_MOST_SKEW = 1e9
"""Some thirty years."""

Anything = Any
"""What user code passes between its own functions; the harness never looks into it."""


@dataclass(frozen=True, slots=True)
class Call:
    """One operation with its arguments (plain data), and the number of the worker it goes to."""

    operation: str
    arguments: tuple[Plain, ...] = ()
    worker: int = 0

    def __str__(self) -> str:
        return f"{self.operation}({', '.join(map(repr, self.arguments))})@w{self.worker}"


@dataclass(frozen=True, slots=True)
class Client:
    """Calls made one after another: the next one is made when the one before has ended, however it ended."""

    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Workload:
    """The calls to race: the clients ``c0``, ``c1`` ... make them at the same time, over ``workers`` worker processes."""

    clients: tuple[Client, ...]
    workers: int = 2

    @classmethod
    def each(cls, operation: str, *arguments: Plain, workers: int = 2, tasks: int = 1) -> Workload:
        """Return a workload in which *tasks* clients in each worker make the same call once."""
        return cls(
            tuple(Client((Call(operation, arguments, worker),)) for _ in range(tasks) for worker in range(workers)),
            workers,
        )


@dataclass(frozen=True, slots=True)
class Change:
    """A step that changed the shared state: its virtual time in seconds, and the name of its task.

    A check may keep text in ``notes``; it is there when the check is asked about the next change of the execution.
    """

    now: float
    lane: str
    notes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Check:
    """A named rule. ``holds`` raises ``AssertionError`` or returns False where the rule is broken.

    Where the rule is that of linearizability, ``answer(history)`` is what the check found, for reports to show.
    """

    name: str
    holds: Callable[..., object]
    answer: Callable[[History], Linearizability] | None = None


def is_url(db: str) -> bool:
    """Return whether *db* is the URL of a database, and not the path of a file."""
    return "://" in db


def database(db: str) -> Any:
    """Return *db* as functions of a scenario get it: a URL as text, a file as a ``Path``."""
    return db if is_url(db) else Path(db)


def _no_close(_: Anything) -> None:
    """Close nothing."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A scenario: the code to race, its workload, its rules, and its faults.

    - ``setup(db)`` makes the shared state, once per run, in a process of its own; ``db`` is the path of a database
      file that does not exist yet, in an empty directory that all workers share. Sync or async, like all functions here.
    - ``open(db)`` makes a worker's application when an execution begins, ``close(app)`` ends it; neither is raced.
      Without ``open`` the application is ``db`` itself. Calls find in context variables what ``open`` put there.
    - ``operations`` are what clients call, as ``operation(app, *arguments)``.
    - ``workload(workers)`` gives the calls to race; ``workloads(workers)`` a Hypothesis strategy for
      others; with it, all rules must hold for any part of a workload too, and failing workloads are shrunk.
    - ``invariants``: ``holds(db)``, asked after every step that changed the shared state, on a *copy* of it.
    - ``transitions``: ``holds(before, after, change)``, asked with two copies of it, from before and after a ``Change``.
    - ``at_end``: ``holds(db)``, asked when all calls have ended.
    - ``postconditions``: ``holds(history, db)``, asked at the end, over what the clients were told.
    - ``must_happen``: ``holds(history, steps)``, or ``holds(db)`` over what is there at the end, each true in at least one
      execution of a run, or the run is unknown.
    - ``faults``: what may go wrong, and how often in one execution. Each kind must have happened in some execution of a
      run, or the run is unknown.
    - ``app``: ``app(db)`` gives a worker's ASGI application. The workers then serve it, and the operations run in a process
      of clients, each as ``operation(http, *arguments)`` with an ``httpx.AsyncClient`` of its own. Which worker gets a request
      is the schedule's choice, whatever worker the call names. Excludes ``open``.
    - ``probe``: ``probe(workload)`` gives calls that are made one after another when all is quiet, by a client named
      ``probe``, to a worker that has served nobody before, with no fault.
    - ``turns``: ``turns(number)`` gives the calls of one turn of an uncontrolled run (``harness stress``), over the same
      state as all turns before it. The rules must then hold of the history of any one turn, and of the state after many.
    - ``raising_fails``: an exception that leaves an operation, or the application of ``app``, and is not one of
      ``expected_errors`` (names of types) is a failure.
    - ``ordered``: whether the checks look at the real-time order of calls (an outcome before an invocation).
      Only a scenario whose checks do not may say False, which makes the exhaustive search smaller.
    - ``points``: schedule points around calls of a library that the harness does not know (``harness.points.Point``).
    - ``secrets``: regular expressions of what must not be shown or written down, beside what goes by a name such as ``token``
      or ``password`` in what clients are told (``harness/values/redaction.py``). Equal ones get equal labels.
    - ``database``: ``sqlite``, or ``postgresql``: then a server of the run's own has the shared state, and wherever a path is
      spoken of here, ``db`` is the URL of a database in it, empty when ``setup`` is called; what checks get is the database
      itself, to be read only.
    - ``server``: the URL of the PostgreSQL server to race over, each exploration in a database of its own; empty: the one
      that ``HARNESS_POSTGRES`` names, else a server of the run's own.
    - ``skew``: by how many seconds the clock of each worker's machine is ahead of true time (below 0: behind), in the order of
      workers; those not named are right. It is what tells the time of day, and goes with a worker that is killed and
      replaced. Monotonic clocks, time-outs, a server's clock, the times of files and those that rules see are true.
    - ``isolation``: ``warm`` (processes live on from one execution to the next, and where executions then do not repeat
      themselves the run begins anew with ``fork``), or ``fork`` (each execution gets fresh processes).
    - ``patience``: a worker that reaches no schedule point and gets nothing done for so many seconds is stuck.
    - ``delays``: how many processes (or messages on their way) may be held up in one execution until a time has come that
      other calls wait for: a sleep's end, a time-out of their own. Not the time-out of a lock in a database, nor one of the
      call that is held up.
    - ``allows``: names of what no schedule decides and calls may touch all the same, as the reasons of an unknown verdict
      have them (``socket:/run/redis.sock``, ``file:/var/log/app.log``), ``*`` standing for any text. Every output names
      what was allowed, for nothing is claimed of it.
    - ``steps``: more steps than this in one execution count as no progress.
    """

    name: str
    story: str = ""
    setup: Callable[[Path], Awaitable[None] | None]
    operations: Mapping[str, Callable[..., Anything]]
    workload: Callable[[int], Workload]
    workloads: Callable[[int], SearchStrategy[Workload]] | None = None
    open: Callable[[Path], Anything] | None = None
    close: Callable[[Anything], Anything] = _no_close
    invariants: tuple[Check, ...] = ()
    transitions: tuple[Check, ...] = ()
    at_end: tuple[Check, ...] = ()
    postconditions: tuple[Check, ...] = ()
    must_happen: tuple[Check, ...] = ()
    expected_errors: tuple[str, ...] = ()
    raising_fails: bool = True
    ordered: bool = True
    points: tuple[Point, ...] = ()
    secrets: tuple[str, ...] = ()
    faults: Faults = NONE
    app: Callable[[Path], Any] | None = None
    probe: Callable[[Workload], Sequence[Call]] | None = None
    turns: Callable[[int], Workload] | None = None
    workers: int = 2
    database: str = "sqlite"
    server: str = field(default="", repr=False)
    skew: tuple[float, ...] = ()
    delays: int = 1
    allows: tuple[str, ...] = ()
    steps: int = 2000
    isolation: str = "warm"
    patience: float = 5.0
    variants: Mapping[str, Scenario] = field(default_factory=dict)
    variant: str = ""

    def __post_init__(self) -> None:
        if self.database not in DATABASES:
            raise BadInput(
                f"The scenario {self.name!r} has the database {self.database!r}: there are {', '.join(DATABASES)}."
            )
        if self.app is not None and (why := refusal_of_maker(self.app)):
            raise BadInput(f"The scenario {self.name!r} can't be raced: {why}")
        if self.app is not None and self.open is not None:
            raise BadInput(
                f"The scenario {self.name!r} has both 'app' and 'open': what an app needs it opens in its lifespan."
            )
        if type(self.delays) is not int or not 0 <= self.delays <= MOST_DELAYS:
            raise BadInput(
                f"The scenario {self.name!r} has {self.delays!r} delays: give the number of processes that may be held up in "
                f"one execution, from 0 to {MOST_DELAYS}."
            )
        for pattern in self.secrets:
            _check_pattern(self.name, pattern)
        if self.isolation not in ISOLATIONS:
            raise BadInput(f"There is no isolation {self.isolation!r}: it is 'warm' or 'fork'.")
        if type(self.patience) not in (int, float) or not 0 < self.patience <= _MOST_PATIENCE:
            raise BadInput(
                f"A patience of {self.patience!r} makes no sense: give a number of seconds above 0, at most {_MOST_PATIENCE}."
            )
        object.__setattr__(self, "allows", check_allows(self.name, self.allows))
        object.__setattr__(self, "skew", _checked_skew(self.name, self.skew, self.workers))

    def roles(self, workers: int) -> tuple[str, ...]:
        """Return the role of each process of a run with *workers* workers: ``worker``, ``clients`` or ``probe``."""
        extra = (*(("clients",) if self.app else ()), *(("probe",) if self.probe else ()))
        return ("worker",) * workers + extra

    def carried_out(self, isolation: str | None, patience: float | None, server: str | None = None) -> Scenario:
        """Return this scenario with *isolation*, *patience* and *server*; None keeps the scenario's own."""
        isolation = self.isolation if isolation is None else isolation
        patience = self.patience if patience is None else patience
        server = self.server if server is None else server
        if (isolation, patience, server) == (self.isolation, self.patience, self.server):
            return self
        return replace(self, isolation=isolation, patience=patience, server=server)

    def allowing(self, choices: Iterable[str]) -> Scenario:
        """Return this scenario with budgets that have room for the faults and delays among *choices*, in one execution."""
        every = tuple(choices)
        faults, delays = faults_in(every), min(delays_in(every), MOST_DELAYS)
        if faults <= self.faults.most and delays <= self.delays:
            return self
        most = replace(self.faults, most=max(faults, self.faults.most))
        return replace(self, faults=most, delays=max(delays, self.delays))

    @property
    def concurrent(self) -> bool:
        """Whether its workers run an event loop, and so take several calls at once."""
        if self.app is not None:
            return True
        return any(map(_is_coroutine_function, (self.open, self.close, *self.operations.values())))

    def __repr__(self) -> str:
        variant = f" variant={self.variant}" if self.variant else ""
        return f"<Scenario {self.name}{variant} operations={','.join(self.operations)}>"


def _checked_skew(name: str, skew: Any, workers: int) -> tuple[float, ...]:
    wrong = ""
    if not isinstance(skew, (tuple, list)):
        wrong = f"{skew!r} is none"
    elif len(skew) > workers:
        wrong = f"it has {len(skew)}, and there are {workers} workers"
    else:
        wrong = next((f"{each!r} is none" for each in skew if not _is_skew(each)), "")
    if wrong:
        raise BadInput(
            f"The scenario {name!r} has a 'skew' that can't be: {wrong}. It is a tuple of seconds, one for each worker, "
            f"from -{_MOST_SKEW:g} to {_MOST_SKEW:g}: (0.0, 6.0) has the clock of worker 1 six seconds ahead."
        )
    return tuple(map(float, skew))


def _is_skew(value: object) -> bool:
    return type(value) in (int, float) and abs(value) <= _MOST_SKEW  # type: ignore[arg-type]


def _check_pattern(name: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise BadInput(
            f"The scenario {name!r} has the secret {pattern!r}, which is no regular expression: {error}. "
            "For a text as it stands, give re.escape(text)."
        ) from None


def _is_coroutine_function(function: Any) -> bool:
    while isinstance(function, partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
