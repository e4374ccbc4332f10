"""The results of an execution and of a run, as values. Everything shown to people is rendered from these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.coverage.totals import Coverage
from harness.scenario import Workload
from harness.values.history import History, Step
from harness.values.schedule import Schedule, delays_in, faults_in
from harness.values.uncontrolled import Touch
from harness.verdict import Verdict

if TYPE_CHECKING:
    from harness.values.explanation import Explanation

__all__ = ["Execution", "Failure", "Interrupted", "Result", "delay_count", "fault_count", "preemptions"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A broken rule. ``kind`` is ``invariant``, ``at end``, ``postcondition``, ``error``, ``deadlock``, ``no progress``
    or ``worker died``; ``step`` is the number of the step after which it showed."""

    kind: str
    rule: str
    message: str
    step: int

    def __str__(self) -> str:
        return f"{self.kind} {self.rule!r} is broken: {self.message}" if self.rule else f"{self.kind}: {self.message}"

    @property
    def sort(self) -> tuple[str, str]:
        """The kind and the rule of the failure. Shrinking and replay take failures with equal ones for the same."""
        return self.kind, self.rule


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of a scenario under one schedule.

    ``abandoned`` says that the scheduler gave it up as redundant. ``stuck`` is the reason why nothing can be said of it.
    ``bounded`` says that it was so long that the schedule was overruled by a fair one.
    """

    workload: Workload
    seed: int
    steps: tuple[Step, ...]
    history: History
    failure: Failure | None = None
    abandoned: bool = False
    bounded: bool = False
    stuck: str = ""
    causes: tuple[int, ...] = ()
    """For each step the number of the step that brought its operation about (after which it was parked), or -1."""
    outcome: str = ""
    """The final shared state and what the clients were told, as a digest; equal digests mean equal outcomes."""
    happened: tuple[str, ...] = ()
    """Which of the things that must happen in a run happened in it, by name."""
    states: tuple[int, ...] = ()
    """The content of the shared files whenever a rule looked at them, as digests."""
    chances: tuple[tuple[str, str], ...] = ()
    """Where a fault could have been injected: each kind with the operation before it, once."""
    notes: tuple[str, ...] = ()
    """What the code under test did that was left alone, in words."""
    more_delays: bool = False
    """Whether more could have been held up in it than the bound on delays allows."""
    undivided: bool = False
    """Whether something that waits for no lock met other connections, and so between their statements only: a connection with
    ``timeout=0``, a checkpoint, a new journal mode, a transaction that has read and would write beside a lone statement."""
    unseen: tuple[Touch, ...] = ()
    """What it touched that no schedule decides, in the order of touching."""
    dates_seen: bool = False
    """Whether it matters when files were changed: code under test has looked at that, or a rule could."""
    skew: tuple[float, ...] = ()
    """By how many seconds each worker's clock was ahead (``Scenario.skew``)."""

    @property
    def schedule(self) -> Schedule:
        """The choices made."""
        return Schedule(tuple(step.choice for step in self.steps))

    @property
    def preemptions(self) -> int:
        """How often a task was left that could have gone on."""
        return preemptions(self.steps)


def preemptions(steps: tuple[Step, ...]) -> int:
    """Count the switches away from a task that could have gone on (``Step.preempts``)."""
    return sum(step.preempts for step in steps)


def fault_count(steps: tuple[Step, ...]) -> int:
    """Count the faults injected."""
    return faults_in(step.choice for step in steps)


def delay_count(steps: tuple[Step, ...]) -> int:
    """Count the delays: how often a process, or a message on its way, was held up until others' time had come."""
    return delays_in(step.choice for step in steps)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a run.

    ``complete`` says that every interleaving was covered, with no limit hit; otherwise ``bound`` names the limit.
    ``delays`` names the bound on delays, if one more delay would have been possible: claims on every interleaving are
    then on those with at most that many. ``within`` names the bound on preemptions within which every interleaving was
    covered. ``reasons`` says why the verdict is unknown. ``foreseen`` counts executions that were predicted from
    visited states and not run. ``seconds`` is the time of the executions, ``startup_seconds`` that of setup and of
    starting processes. ``failures`` counts failing executions; ``first_failure`` is the number of the first one,
    counted from 1. ``anew`` says when and why the run went on with fresh processes. ``isolation`` and ``patience`` are
    those of the executions that the verdict rests on. ``counterexample`` is the minimal, confirmed failing execution;
    ``explanation`` says why it fails, or ``unexplained`` why that can't be said. ``coverage`` is the run's coverage.
    ``notes`` names parts of the code under test that were left uncontrolled. ``allowed`` names the uncontrolled events
    that happened and that the scenario allows: nothing is claimed of them.
    """

    scenario: str
    variant: str
    verdict: Verdict
    executions: int
    complete: bool
    failures: int
    seconds: float
    workers: int = 0
    scheduler: str = ""
    seed: int = 0
    startup_seconds: float = 0.0
    bound: str = ""
    reasons: tuple[str, ...] = ()
    counterexample: Execution | None = None
    first_failure: int | None = None
    shrink_executions: int = 0
    outcomes: int = 0
    steps: int = 0
    abandoned: int = 0
    foreseen: int = 0
    happened: Mapping[str, int] = field(default_factory=dict)
    within: str = ""
    delays: str = ""
    explanation: Explanation | None = None
    unexplained: str = ""
    coverage: Coverage = field(default_factory=Coverage)
    jobs: int = 1
    anew: str = ""
    isolation: str = "warm"
    patience: float = 5.0
    notes: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()

    def __repr__(self) -> str:
        scope = (
            f"complete{self.delays and f' with {self.delays}'}"
            if self.complete
            else self.bound or self.within or "not complete"
        )
        return f"<Result {self.scenario} {self.verdict} executions={self.executions} ({scope})>"


class Interrupted(KeyboardInterrupt):
    """A run was interrupted. ``result`` has its counts until then; it claims nothing, so its verdict is unknown."""

    def __init__(self, result: Result) -> None:
        self.result = result
        super().__init__(f"interrupted after {result.executions} executions")
