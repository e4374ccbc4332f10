"""Many executions: until a failure is found, everything is covered, or the budget is spent."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.control.confirm import Unconfirmed, confirm
from harness.control.execution import Driver
from harness.control.shrink import shrink
from harness.control.theatre import theatre
from harness.errors import BadInput, Diverged
from harness.result import Execution, Result
from harness.scenario import Scenario, Workload
from harness.schedulers.base import Scheduler
from harness.schedulers.exhaustive import Exhaustive
from harness.schedulers.random_walk import RandomWalk
from harness.schedulers.replay import Replay
from harness.verdict import Verdict

__all__ = ["SCHEDULERS", "Progress", "run"]

SCHEDULERS = {
    "exhaustive": "every interleaving, equivalent ones once; fewest preemptions first",
    "random": "a uniform random walk",
    "hypothesis": "interleavings and workloads drawn, shrunk and remembered by Hypothesis",
    "brute": "every interleaving without reduction; what the reduction is tested against",
}
DEFAULT_EXECUTIONS = {"exhaustive": 20_000, "brute": 20_000, "random": 1_000, "hypothesis": 1_000}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come: ``phase`` is ``exploring``, ``confirming`` or ``shrinking``."""

    executions: int
    seconds: float
    failures: int
    phase: str


@dataclass(slots=True)
class Budget:
    """When to stop: after so many executions, or so many seconds (None for no limit)."""

    executions: int
    seconds: float | None
    began: float = field(default_factory=time.perf_counter)

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self.began

    def spent(self, executions: int) -> str:
        """Return the limit that *executions* or the time have reached, or an empty string."""
        if executions >= self.executions:
            return f"{self.executions} executions"
        if self.seconds is not None and self.elapsed >= self.seconds:
            return f"{self.seconds:g} seconds"
        return ""


@dataclass(slots=True)
class Tally:
    """What the executions of a run came to so far."""

    scenario: Scenario
    budget: Budget
    progress: Callable[[Progress], None]
    executions: int = 0
    failures: int = 0
    steps: int = 0
    abandoned: int = 0
    first_failure: int | None = None
    failed: Execution | None = None
    bound: str = ""
    complete: bool = False
    stuck: list[str] = field(default_factory=list)
    outcomes: set[str] = field(default_factory=set)
    happened: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.happened = {check.name: 0 for check in self.scenario.must_happen}

    def count(self, execution: Execution) -> None:
        """Take *execution* into account."""
        self.executions += 1
        self.steps += len(execution.steps)
        self.abandoned += execution.abandoned
        if execution.stuck and execution.stuck not in self.stuck:
            self.stuck.append(execution.stuck)
        if execution.failure is not None:
            self.failures += 1
            self.first_failure = self.first_failure or self.executions
            self.failed = execution
        for check in self.scenario.must_happen:
            if check.holds(execution.history, execution.steps):
                self.happened[check.name] += 1
        if execution.outcome:
            self.outcomes.add(execution.outcome)
        if self.executions % 50 == 0:
            self.progress(Progress(self.executions, self.budget.elapsed, self.failures, "exploring"))


def run(
    scenario: Scenario,
    *,
    workers: int | None = None,
    scheduler: str | Scheduler = "exhaustive",
    max_executions: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    isolation: str = "warm",
    progress: Callable[[Progress], None] | None = None,
    outcomes: bool = False,
    patience: float = 5.0,
) -> Result:
    """Explore *scenario* and return what was found.

    1. Start the processes, run ``setup`` once, take the shared state it made as the template.
    2. Run executions as the scheduler asks, until one fails, everything is covered or the budget is spent.
    3. Run one passing execution again: if it does not repeat itself, the verdict is unknown and says where it parted.
    4. Confirm a failure in freshly forked workers, shrink it, and confirm what was shrunk.

    *scheduler* is a name from ``SCHEDULERS`` or a scheduler; the budget is *max_executions* and *seconds* of real time
    (shrinking not counted); *outcomes* counts distinct outcomes (slower); the other parameters are ``theatre``'s.
    Raises ``BadInput``, ``SetupFailed`` and ``Unsupported``.
    """
    workers = scenario.workers if workers is None else workers
    _check_budget(max_executions, seconds)
    name = scheduler if isinstance(scheduler, str) else scheduler.name
    if isinstance(scheduler, str) and scheduler not in SCHEDULERS:
        raise BadInput(f"There is no scheduler {scheduler!r}: it is one of {', '.join(SCHEDULERS)}.")
    with theatre(scenario, workers, seed=seed, isolation=isolation, patience=patience) as stage:
        driver = stage.driver
        driver.wants_outcomes = outcomes
        budget = Budget(max_executions or DEFAULT_EXECUTIONS.get(name, 1_000), seconds)
        tally = Tally(scenario, budget, progress or (lambda _: None))
        reasons: list[str] = []
        found: Execution | None = None
        shrinking = 0
        try:
            if scheduler == "hypothesis":
                from harness.control.drawing import explore_drawn

                explore_drawn(driver, workers, seed, tally)
            else:
                chosen = _scheduler(scheduler, seed) if isinstance(scheduler, str) else scheduler
                _explore(driver, chosen, scenario.workload(workers), tally)
            elapsed = budget.elapsed
            if tally.failed is not None:
                tally.progress(Progress(tally.executions, elapsed, tally.failures, "confirming"))
                confirm(stage, tally.failed)
                tally.progress(Progress(tally.executions, elapsed, tally.failures, "shrinking"))
                found, shrinking = shrink(driver, tally.failed)
                found = confirm(stage, found)
            elif not tally.stuck:
                _recheck(driver, tally)
        except (Diverged, Unconfirmed) as error:
            elapsed = budget.elapsed
            reasons.append(str(error))
            tally.complete = False
        reasons += tally.stuck
        missing = [rule for rule, times in tally.happened.items() if not times]
        if found is None and missing:
            reasons.append("what the scenario is about never happened: " + ", ".join(missing))
        return Result(
            scenario=scenario.name,
            variant=scenario.variant,
            workers=workers,
            scheduler=name,
            seed=seed,
            verdict=Verdict.INVALID if found else Verdict.UNKNOWN if reasons else Verdict.VALID,
            executions=tally.executions,
            complete=tally.complete and not reasons and found is None,
            failures=tally.failures,
            seconds=elapsed,
            startup_seconds=stage.startup_seconds,
            bound=tally.bound,
            reasons=tuple(reasons),
            counterexample=found,
            first_failure=tally.first_failure,
            shrink_executions=shrinking,
            outcomes=len(tally.outcomes),
            steps=tally.steps,
            abandoned=tally.abandoned,
            happened=tally.happened,
        )


def _check_budget(max_executions: int | None, seconds: float | None) -> None:
    if max_executions is not None and max_executions < 1:
        raise BadInput(f"The budget of {max_executions} executions allows none: give 1 or more.")
    if seconds is not None and not (seconds > 0 and math.isfinite(seconds)):
        raise BadInput(f"The time budget of {seconds} seconds makes no sense: give a number above 0.")


def _scheduler(name: str, seed: int) -> Scheduler:
    return RandomWalk(seed) if name == "random" else Exhaustive(reduction=name == "exhaustive")


def _explore(driver: Driver, scheduler: Scheduler, workload: Workload, tally: Tally) -> None:
    """Run executions until *scheduler* has no more, one fails, none can be judged, or the budget is spent."""
    previous: Execution | None = None
    while scheduler.start(previous):
        if bound := tally.budget.spent(tally.executions):
            tally.bound = bound
            return
        previous = driver.run(scheduler, workload)
        tally.count(previous)
        if previous.failure is not None or previous.stuck:
            return
    tally.complete = bool(getattr(scheduler, "complete", False))
    if not tally.complete:
        tally.bound = f"{driver.scenario.steps} steps in one execution"


def _recheck(driver: Driver, tally: Tally) -> None:
    """Run a default execution twice: raises ``Diverged`` when the second does not repeat the first."""
    workload = tally.scenario.workload(len(driver.fleet.workers))
    walk = RandomWalk(driver.seed)
    walk.start(None)
    first = driver.run(walk, workload)
    if first.stuck:
        tally.stuck.append(first.stuck)
        return
    driver.run(Replay(first.schedule, [step.digest for step in first.steps]), workload)
