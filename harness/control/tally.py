"""Counts the executions of a run while it goes on, and makes the result."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness.coverage.collector import Survey
from harness.result import Execution, Result
from harness.scenario import Scenario
from harness.schedulers.wrappers.stop_early import stale
from harness.values.uncontrolled import Ledger
from harness.verdict import Verdict

_KINDS = {"lost": "cancel"}
"""The kind of fault that a kind of step belongs to, where the names differ."""

__all__ = ["Budget", "Progress", "Tally"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come: ``phase`` is ``exploring``, ``confirming``, ``shrinking`` or ``explaining``."""

    executions: int
    seconds: float
    failures: int
    phase: str


@dataclass(slots=True)
class Budget:
    """The limits of a run: executions, seconds, and executions in a row that show nothing new (None: no limit)."""

    executions: int
    seconds: float | None
    stop_after: int | None = None
    began: float = field(default_factory=time.perf_counter)

    def begin(self) -> None:
        """Start the clock."""
        self.began = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds of real time since the beginning."""
        return time.perf_counter() - self.began

    def spent(self, executions: int) -> str:
        """Return the limit that *executions* or the time have reached, or an empty string."""
        if executions >= self.executions:
            return f"{self.executions} executions"
        if self.seconds is not None and self.elapsed >= self.seconds:
            return f"{self.seconds:g} seconds"
        return ""


_UNDIVIDED = "each SQL statement in one piece"
"""An assumption of a search in which an operation waits for no lock.

In reality it may be refused in the middle of another's statement; that is not explored.
"""


def bound_on_delays(most: int) -> str:
    """Return in words that at most *most* delays were tried in an execution."""
    return f"at most {most} delay{'s' if most != 1 else ''} in an execution" if most else "no delay"


@dataclass(slots=True)
class Tally:
    """The counts and findings of a run so far."""

    scenario: Scenario
    budget: Budget
    progress: Callable[[Progress], None]
    executions: int = 0
    failures: int = 0
    steps: int = 0
    abandoned: int = 0
    predicted: int = 0
    first_failure: int | None = None
    failed: Execution | None = None
    bound: str = ""
    within: str = ""
    more_delays: bool = False
    undivided: bool = False
    complete: bool = False
    stuck: list[str] = field(default_factory=list)
    happened: dict[str, int] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    seconds: float = 0.0
    earlier: float = 0.0
    """Seconds of exploring before the run began anew."""
    departed: str = ""
    """How an execution failed to repeat itself, perhaps because of earlier ones in its processes (empty: none did)."""
    anew: str = ""
    """When and why the run began anew with fresh processes."""
    shrinking: int = 0
    notes: dict[str, None] = field(default_factory=dict)
    unseen: Ledger = field(default_factory=Ledger)
    survey: Survey = field(default_factory=Survey)
    seen: float | None = None
    pct: Mapping[int, int] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    """The number of the application's answers by status."""

    def __post_init__(self) -> None:
        self.happened = {check.name: 0 for check in self.scenario.must_happen}
        self.happened.update((f"fault {kind}", 0) for kind in self.scenario.faults.kinds)

    def count(self, execution: Execution) -> None:
        """Add *execution* to the counts and findings."""
        self.executions += 1
        self.steps += len(execution.steps)
        self.abandoned += execution.abandoned
        if execution.stuck and execution.stuck not in self.stuck:
            self.stuck.append(execution.stuck)
        if execution.failure is not None:
            self.failures += 1
            self.first_failure = self.first_failure or self.executions
            self.failed = execution
        for name in execution.happened:
            self.happened[name] += 1
        for kind in {
            _KINDS.get(step.kind, step.kind) for step in execution.steps if step.is_fault and not step.is_delay
        }:
            self.happened[f"fault {kind}"] += 1
        if self.scenario.app is not None:
            self.answers.update(step.text.partition(" ")[0] for step in execution.steps if step.kind == "answer")
        self.more_delays |= execution.more_delays
        self.undivided |= execution.undivided
        self.survey.count(execution)
        self.notes.update(dict.fromkeys(execution.notes))
        self.unseen.count(execution.unseen)
        if self.executions % 50 == 0:
            self.report("exploring")

    @property
    def spent(self) -> str:
        """The limit that was reached, or an empty string."""
        return self.budget.spent(self.executions) or stale(self.survey, self.budget.stop_after)

    def report(self, phase: str) -> None:
        """Report how far the run has come in *phase*."""
        self.progress(Progress(self.executions, self.seconds or self.budget.elapsed, self.failures, phase))

    def explored(self) -> None:
        """Record the time that exploring took, if it is not recorded yet: later work does not count."""
        self.seconds = self.seconds or self.budget.elapsed

    def reasons(self, found: Execution | None) -> tuple[str, ...]:
        """Return the reasons against a verdict of valid.

        With a failure *found*, they are only the doubts and the executions that could not be judged; the verdict is
        invalid all the same.
        """
        missing = [rule for rule, times in self.happened.items() if not times]
        never = ["a required event never occurred: " + ", ".join(missing)] if missing and found is None else []
        if found is not None:
            return (*self.doubts, *self.stuck)
        return (*self.doubts, *self.stuck, *self.unseen.reasons(self.scenario.allows), *never, *self._only_errors())

    def _bounds(self) -> str:
        """Return in words the bounds of a complete search other than the schedule's; an empty string if none."""
        delays = [bound_on_delays(self.scenario.delays)] if self.more_delays else []
        return " and ".join([*delays, *([_UNDIVIDED] if self.undivided else [])])

    def _only_errors(self) -> list[str]:
        """Return a reason if every answer of the application was a server error: then its real work was never raced."""
        # "connection closed" is no status.
        heard = {status: times for status, times in self.answers.items() if status.isdigit()}
        if not heard or any(not status.startswith("5") for status in heard):
            return []
        told = ", ".join(f"{status} {times} times" for status, times in sorted(heard.items()))
        return [
            f"every answer of the application was a server error ({told}), so what it does when it works was never raced. "
            "Does it lack something that 'setup' should make, or a setting? Call it once outside the harness, or have a "
            "client raise where the status is not the one it needs"
        ]

    def _left_alone(self, found: Execution | None) -> tuple[str, ...]:
        """Return notes on accesses that no schedule controls, but that do not change the verdict."""
        allows = self.scenario.allows
        return (*self.unseen.notes(allows), *(self.unseen.met(allows) if found is not None else ()))

    def result(self, found: Execution | None) -> Result:
        """Return the result of the run, given the minimal failure *found*, if any."""
        reasons = self.reasons(found)
        complete = self.complete and not (self.within or self.survey.bounded or reasons or found)
        coverage = self.survey.coverage(self.seen, self.pct, whole=complete)
        return Result(
            scenario=self.scenario.name,
            variant=self.scenario.variant,
            verdict=Verdict.INVALID if found else Verdict.UNKNOWN if reasons else Verdict.VALID,
            executions=self.executions,
            complete=complete,
            failures=self.failures,
            seconds=self.seconds + self.earlier,
            bound=self.bound,
            reasons=reasons,
            anew=self.anew,
            notes=(*self.notes, *self._left_alone(found)),
            allowed=self.unseen.allowed(self.scenario.allows),
            counterexample=found,
            first_failure=self.first_failure,
            shrink_executions=self.shrinking,
            outcomes=coverage.outcomes or 0,
            steps=self.steps,
            abandoned=self.abandoned,
            foreseen=self.predicted,
            happened=self.happened,
            within=self.within,
            delays=self._bounds(),
            coverage=coverage,
        )
