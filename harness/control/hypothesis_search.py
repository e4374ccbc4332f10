"""Exploration by Hypothesis: each example is a workload and an interleaving, drawn from one choice sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.database import ExampleDatabase

from harness.control.execution.driver import Driver
from harness.examples.drawing import planned, workloads_of
from harness.examples.testbeds import learn
from harness.result import Execution
from harness.scenario import Scenario, Workload
from harness.schedulers.base import Scheduler

if TYPE_CHECKING:
    from harness.control.tally import Tally

__all__ = ["explore_drawn"]


Draws = Callable[[Callable[[st.SearchStrategy[int]], int], Scenario, Workload, int], Scheduler]
"""Makes an example's scheduler from a way to draw, the scenario, the workload and the number of steps in a call."""


class _Found(Exception):
    """Raised to tell Hypothesis that an example fails."""


class _Enough(KeyboardInterrupt):
    """Raised to end the search at once.

    A ``KeyboardInterrupt``, because Hypothesis takes any other exception for a failure or for the end of an example.
    """


class _OfScenario(ExampleDatabase):
    """An example database that adds the scenario to every key, because one test function serves all scenarios."""

    def __init__(self, inner: ExampleDatabase, name: str) -> None:
        super().__init__()
        self._inner, self._prefix = inner, name.encode() + b"/"

    def save(self, key: bytes, value: bytes) -> None:
        self._inner.save(self._prefix + key, value)

    def fetch(self, key: bytes) -> Iterable[bytes]:
        return self._inner.fetch(self._prefix + key)

    def delete(self, key: bytes, value: bytes) -> None:
        self._inner.delete(self._prefix + key, value)


def _sort(execution: Execution) -> tuple[str, str]:
    assert execution.failure is not None
    return execution.failure.sort


def explore_drawn(
    driver: Driver,
    workers: int,
    seeded: int,
    *,
    tally: Tally,
    make: Draws = planned,
    remembered: ExampleDatabase | None = None,
) -> None:
    """Let Hypothesis look for a failing example within *tally*'s budget, and shrink it.

    ``tally.executions`` counts the executions until the first failure, ``tally.shrinking`` those that shrinking then
    took. One more, which neither counts, is run first to learn how many steps a call takes. Failures are kept in
    *remembered*, by default the database of Hypothesis' settings, and are tried first in later runs. *make* makes the
    scheduler of an example.
    """
    scenario = driver.scenario
    strategy = workloads_of(scenario, workers)
    smallest: list[Execution] = []
    steps = learn(driver, scenario.workload(workers))
    remembered = settings().database if remembered is None else remembered

    @settings(
        max_examples=tally.budget.executions,
        deadline=None,
        database=_OfScenario(remembered, f"{scenario.name}/{scenario.variant}/{workers}") if remembered else None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.reuse, Phase.generate, Phase.target, Phase.shrink),
        report_multiple_bugs=False,
        print_blob=False,
    )
    @seed(seeded)  # below the settings: applied after them, it would set their example database to None
    @given(st.data())
    def test(data: st.DataObject) -> None:
        if not smallest and (tally.stuck or tally.spent):
            raise _Enough
        workload = data.draw(strategy)
        execution = driver.run(make(data.draw, scenario, workload, steps), workload)
        if smallest:
            tally.shrinking += 1
        else:
            tally.count(execution)
        if execution.failure is not None and (not smallest or execution.failure.sort == _sort(smallest[0])):
            smallest.append(execution)
            raise _Found

    try:
        test()
    except _Enough:
        pass
    except _Found:
        tally.failed = smallest[-1]
    except BaseException as error:
        if smallest and isinstance(error, BaseExceptionGroup):
            tally.failed = smallest[-1]
        else:
            raise
    if tally.failed is None:
        tally.bound = tally.spent or "Hypothesis found no further examples"
