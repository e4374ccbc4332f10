"""Exploration by Hypothesis: each example is a workload and an interleaving, drawn from one choice sequence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.database import ExampleDatabase

from harness.control.execution import Driver
from harness.result import Execution
from harness.strategies import Drawn, workloads_of

if TYPE_CHECKING:
    from harness.control.tally import Tally

__all__ = ["explore_drawn"]


class _Found(Exception):
    """What tells Hypothesis that an example fails."""


class _Enough(KeyboardInterrupt):
    """What ends the search at once: the one thing that Hypothesis takes for neither a failure nor an end of drawing."""


class _OfScenario(ExampleDatabase):
    """Another database, with the scenario in front of every key, because one test function serves all scenarios."""

    def __init__(self, inner: ExampleDatabase, name: str) -> None:
        super().__init__()
        self._inner, self._prefix = inner, name.encode() + b"/"

    def save(self, key: bytes, value: bytes) -> None:
        self._inner.save(self._prefix + key, value)

    def fetch(self, key: bytes) -> Iterable[bytes]:
        return self._inner.fetch(self._prefix + key)

    def delete(self, key: bytes, value: bytes) -> None:
        self._inner.delete(self._prefix + key, value)


def explore_drawn(driver: Driver, workers: int, seeded: int, tally: Tally) -> None:
    """Let Hypothesis look for a failing example within *tally*'s budget, and shrink it.

    ``tally.executions`` counts what it took to find the first failure, not the shrinking.
    Failures are kept in the example database and come back first.
    """
    scenario = driver.scenario
    strategy = workloads_of(scenario, workers)
    smallest: list[Execution] = []
    remembered = settings().database

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
    @seed(seeded)  # below the settings, or it would take the example database away
    @given(st.data())
    def test(data: st.DataObject) -> None:
        if smallest:
            execution = driver.run(Drawn(data), data.draw(strategy))
            if execution.failure is not None and execution.failure.sort == smallest[0].failure.sort:  # type: ignore[union-attr]
                smallest.append(execution)
                raise _Found
            return
        if tally.stuck or tally.spent:
            raise _Enough
        workload = data.draw(strategy)
        execution = driver.run(Drawn(data), workload)
        tally.count(execution)
        if execution.failure is not None:
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
