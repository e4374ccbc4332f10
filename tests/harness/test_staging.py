"""The processes behind a Hypothesis test: clean after whatever ends an example, gone when the test is over."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import StopTest
from hypothesis.statistics import collector

from harness.control.repeating.shrink import Deviations
from harness.examples import testbeds
from harness.examples.testbeds import NeverHappened, staged
from harness.faults import Faults
from harness.interleaving import Interleaving
from harness.scenario import Check
from harness.schedulers.base import View
from harness.strategies import interleavings
from tests.harness.conftest import children
from tests.harness.counter import counts_to, raced
from tests.harness.sync_programs import autocommit

pytestmark = pytest.mark.forks

COUNTER = raced(autocommit, at_end=(counts_to(2),))


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """No processes of one test are left for the next."""
    yield
    testbeds.close()


class Ends(Deviations):
    """Goes on by default, and raises *error* at the third decision."""

    def __init__(self, error: BaseException) -> None:
        super().__init__({2: "w1:c1"})
        self._error = error

    def choose(self, view: View) -> str | None:
        """Raise at the third step."""
        if len(view.steps) >= 3:
            raise self._error
        return super().choose(view)

    def ahead(self, view: View) -> int:
        """Ask at every step."""
        return 0


def test_an_example_that_is_abandoned_leaves_the_workers_clean() -> None:
    """Where Hypothesis ends it inside a draw, the same processes run the next one as if nothing had been."""
    stage = staged(COUNTER, 2)
    workload = COUNTER.workload(2)
    before, processes = stage.run(Deviations({}), workload), children()
    with pytest.raises(StopTest):
        stage.run(Ends(StopTest(0)), workload)
    assert staged(COUNTER, 2) is stage
    assert stage.run(Deviations({}), workload) == before
    assert children() == processes


def test_a_test_whose_examples_are_abandoned_ends() -> None:
    """With room for a handful of choices nearly every example is cut short; what runs to the end is right."""
    right: list[bool] = []
    scenario = raced(autocommit, faults=Faults(kill=True, most=2))

    @settings(max_examples=40, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(interleavings(scenario), interleavings(scenario))
    def twice(first: Interleaving, second: Interleaving) -> None:
        for each in (first, second):
            assert each.execution is not None
            right.append(len(each.execution.history.outcomes()) == 2)

    twice()
    assert right
    assert all(right)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_after_anything_else_the_processes_are_ended(error: type[BaseException]) -> None:
    """What comes from outside may have come in the middle of a message: the next example gets processes of its own."""
    stage = staged(COUNTER, 2)
    before = stage.run(Deviations({}), COUNTER.workload(2))
    with pytest.raises(error):
        stage.run(Ends(error()), COUNTER.workload(2))
    assert not any("fork server" in child for child in children())
    again = staged(COUNTER, 2)
    assert again is not stage
    assert again.run(Deviations({}), COUNTER.workload(2)) == before


def test_ctrl_c_while_a_worker_runs_leaves_nothing_behind() -> None:
    """The signal comes while a report is waited for, which no scheduler sees."""
    before = children()
    parent = os.getpid()

    def interrupts(db: Path) -> None:
        os.kill(parent, signal.SIGINT)
        threading.Event().wait(30)

    scenario = raced([autocommit, interrupts])
    # Who was started in the background of a shell ignores it.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            staged(scenario, 2)
    finally:
        signal.signal(signal.SIGINT, handler)
    testbeds.close()
    assert children() == before


def test_what_never_happened_is_said_when_the_test_is_over() -> None:
    """A rule about what must happen, and a fault: a warning, unless a race was found or hardly anything ran."""
    scenario = raced(
        autocommit, must_happen=(Check("it snows", lambda *_: False),), faults=Faults(jumps=(1.0,), most=1)
    )

    def explore(examples: int, checked: Any = scenario) -> None:
        @settings(max_examples=examples, database=None, phases=[Phase.generate])
        @given(interleavings(checked))
        def test(_: Interleaving) -> None:
            pass

        test()

    explore(40)
    with pytest.warns(NeverHappened, match="'counter'.*it snows"):
        testbeds.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explore(5)
        testbeds.close()
        explore(40, COUNTER)
        testbeds.close()


def test_statistics_say_what_happened() -> None:
    """Faults, what must happen in some execution, and preemptions are events of Hypothesis."""
    scenario = raced(autocommit, must_happen=(Check("it ended", lambda *_: True),), faults=Faults(kill=True, most=1))
    seen: list[str] = []

    @settings(max_examples=30, database=None, phases=[Phase.generate])
    @given(interleavings(scenario))
    def test(_: Interleaving) -> None:
        pass

    with collector.with_value(lambda statistics: seen.append(repr(statistics))):
        test()
    for event in ("happened: fault kill", "happened: it ended", "preemptions: "):
        assert event in seen[0]
