"""Searches a scenario until its first failure: unlike `harness run`, it confirms and shrinks nothing afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from harness.control.execution.driver import Driver
from harness.control.testbed.testbed import open_testbed
from harness.result import Execution, fault_count
from harness.scenario import Scenario
from harness.schedulers.base import Scheduler, report_of
from harness.schedulers.greybox import Greybox
from harness.schedulers.pct import PCT
from harness.schedulers.portfolio import Portfolio
from harness.schedulers.pos import POS
from harness.schedulers.random_walk import RandomWalk
from harness.schedulers.tree.stateful import Stateful

MAKERS: Mapping[str, Callable[[int], Scheduler]] = {
    "portfolio": Portfolio,
    "exhaustive": lambda _: Stateful(),
    "random": RandomWalk,
    "pct": PCT,
    "pos": POS,
    "greybox": Greybox,
}
"""How `harness run` makes them, given a seed."""

HYPOTHESIS = "hypothesis"
SCHEDULERS = (*MAKERS, HYPOTHESIS)
PATIENCE = 60.0
"""Seconds without a word until a worker counts as stuck: many, for the machine may be busy."""

WITHOUT_SEED = frozenset({"exhaustive"})
"""Those that do the same with every seed."""


@dataclass(frozen=True)
class Found:
    """The result of a search: `first` is the number of the failing execution, counted from 1, or None.

    `seconds` is the time of the executions, `startup` the time before them. `complete` says that the search left nothing out.
    The last four attributes describe the failing execution as it was found.
    """

    first: int | None
    executions: int
    steps: int
    seconds: float
    startup: float
    complete: bool
    preemptions: int = 0
    faults: int = 0
    length: int = 0
    failure: str = ""


class Undecided(Exception):
    """An execution could not be judged: a worker was stuck, or the check itself is broken."""


class _Ended(KeyboardInterrupt):
    """Makes Hypothesis end at once: a `KeyboardInterrupt` is neither a failure nor an example to shrink."""


class Count:
    """Counts the executions of one search, until one fails or the budget is spent."""

    def __init__(self, executions: int, seconds: float) -> None:
        self._budget, self._seconds = executions, seconds
        self._began = time.perf_counter()
        self.executions, self.steps = 0, 0
        self.failed: Execution | None = None

    @property
    def seconds(self) -> float:
        """Return the seconds since the beginning."""
        return time.perf_counter() - self._began

    @property
    def over(self) -> bool:
        """Return whether the search is over: an execution failed, or the budget is spent."""
        return self.failed is not None or self.executions >= self._budget or self.seconds >= self._seconds

    def add(self, execution: Execution) -> None:
        """Count an execution; raise `Undecided` if it was stuck."""
        if execution.stuck:
            raise Undecided(execution.stuck)
        self.executions += 1
        self.steps += len(execution.steps)
        if execution.failure is not None:
            self.failed = execution


def search(
    scenario: Scenario, scheduler: str, *, seed: int = 0, executions: int = 1000, seconds: float = 3600.0
) -> Found:
    """Search for a failure with a scheduler, within *executions* and *seconds*; raise `Undecided` if one was stuck."""
    with open_testbed(scenario, scenario.workers, seed=seed, patience=PATIENCE) as stage:
        count = Count(executions, seconds)
        if scheduler == HYPOTHESIS:
            complete = _drawn(stage.driver, scenario, seed, count)
        else:
            complete = _chosen(stage.driver, scenario, MAKERS[scheduler](seed), count)
        took, failed = count.seconds, count.failed
        if failed is None:
            return Found(None, count.executions, count.steps, took, stage.startup_seconds, complete)
        return Found(
            first=count.executions,
            executions=count.executions,
            steps=count.steps,
            seconds=took,
            startup=stage.startup_seconds,
            complete=False,
            preemptions=failed.preemptions,
            faults=fault_count(failed.steps),
            length=len(failed.steps),
            failure=str(failed.failure),
        )


def _chosen(driver: Driver, scenario: Scenario, scheduler: Scheduler, count: Count) -> bool:
    workload = scenario.workload(scenario.workers)
    previous: Execution | None = None
    while scheduler.start(previous):
        if count.over:
            return False
        previous = driver.run(scheduler, workload)
        count.add(previous)
    return report_of(scheduler).complete


def _drawn(driver: Driver, scenario: Scenario, seed: int, count: Count) -> bool:
    """Search with interleavings and workloads that Hypothesis draws, without a database of earlier examples."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis import strategies as st

    from harness.examples.drawing import planned, workloads_of
    from harness.examples.testbeds import learn

    strategy = workloads_of(scenario, scenario.workers)
    steps = learn(driver, scenario.workload(scenario.workers))

    @settings(
        max_examples=1_000_000,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),
    )
    @seeded(seed)
    @given(st.data())
    def example(data: st.DataObject) -> None:
        if count.over:
            raise _Ended
        workload = data.draw(strategy)
        count.add(driver.run(planned(data.draw, scenario, workload, steps), workload))
        if count.over:
            raise _Ended

    with suppress(_Ended):
        example()
    return False
