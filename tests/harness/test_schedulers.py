"""The contract of every scheduler, over real executions; and that the search tries what is cheapest first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from math import comb
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from harness.control.run import run
from harness.control.testbed.testbed import open_testbed
from harness.examples.drawing import planned
from harness.examples.testbeds import learn
from harness.faults import Faults
from harness.scenario import Scenario
from harness.schedulers.base import Option, Scheduler, View, by_default
from harness.schedulers.greybox import Greybox
from harness.schedulers.pct import PCT
from harness.schedulers.portfolio import Portfolio
from harness.schedulers.pos import POS
from harness.schedulers.random_walk import RandomWalk
from harness.schedulers.replay import Replay
from harness.schedulers.tree.exhaustive import Exhaustive
from harness.schedulers.wrappers.recheck import Recheck
from harness.schedulers.wrappers.statistics import Statistics
from harness.schedulers.wrappers.stop_early import StopEarly
from harness.values.schedule import Schedule
from tests.harness.contract import check_scheduler
from tests.harness.counter import counts_to, executions, outcomes, raced
from tests.harness.sync_programs import ADD, PROGRAMS, autocommit, plainly
from tests.harness.test_async import plainly as aio_plainly

CHEAP_FOR_BRUTE = ("autocommit", "returning", "executescript", "row_factory", "no_timeout", "with_connection")
FAULTY = [program for program in PROGRAMS if not program.correct and str(program) in CHEAP_FOR_BRUTE]


@pytest.mark.forks
@pytest.mark.parametrize(
    "make",
    [
        Exhaustive,
        lambda: Exhaustive(reduction=False),
        lambda: Exhaustive(preemptions=1),
        lambda: RandomWalk(0),
        lambda: PCT(0),
        lambda: PCT(0, depth=0),
        lambda: POS(0),
        lambda: Greybox(0),
        lambda: Portfolio(0),
        lambda: Replay(Schedule.of(["w1:c1"] * 3), times=5, lenient=True),
        lambda: Recheck(RandomWalk(0), every=2),
        lambda: StopEarly(Exhaustive(), 3),
        lambda: Statistics(POS(0)),
        lambda: Statistics(Recheck(StopEarly(Portfolio(0), 5))),
    ],
    ids=[
        "exhaustive",
        "brute",
        "bounded",
        "random",
        "pct",
        "pct-by-turns",
        "pos",
        "greybox",
        "portfolio",
        "replay",
        "recheck",
        "stop-early",
        "statistics",
        "nested",
    ],
)
def test_the_contract_is_kept(make: Callable[[], Scheduler]) -> None:
    """It answers with an option or gives up, whatever it is asked; and it is asked sensible questions."""
    check_scheduler(make)


@pytest.mark.forks
def test_the_contract_is_kept_by_what_hypothesis_draws() -> None:
    """The same, for choices drawn from an example."""

    @settings(max_examples=3, database=None)
    @given(st.data())
    def drawn(data: st.DataObject) -> None:
        scenario = raced(autocommit, faults=Faults(kill=True, most=1))
        check_scheduler(lambda: planned(data.draw, scenario, scenario.workload(2), 9), repeats=False)

    drawn()


@pytest.mark.forks
@pytest.mark.slow
@pytest.mark.parametrize("program", FAULTY, ids=str)
def test_the_first_failure_takes_the_fewest_preemptions(program: Any) -> None:
    """Of all the executions there are with fewer than the first failure that the search meets, none fails."""
    scenario = raced(program.worker, at_end=(counts_to(2),))
    first = run(scenario, explain=False, patience=2.0).counterexample
    assert first is not None
    assert first.preemptions > 0
    cheaper = executions(scenario, Exhaustive(reduction=False, preemptions=first.preemptions - 1))
    assert [each for each in cheaper if each.failure is not None] == []


@pytest.mark.forks
def test_the_search_goes_from_few_preemptions_to_many() -> None:
    """Trying everything, each execution has at least as many as the one before."""
    found = executions(raced(autocommit), Exhaustive(reduction=False))
    spent = [execution.preemptions for execution in found]
    assert spent == sorted(spent)
    assert spent[0] == 0


def adds_twice(db: Path) -> None:
    """Increment twice, each in one statement, which leaves no lock behind."""
    with plainly(db) as connection:
        connection.execute(ADD)
        connection.execute(ADD)


@pytest.mark.forks
def test_trying_everything_tries_each_interleaving_once() -> None:
    """Two workers that never wait have as many interleavings as there are ways to mix their steps."""
    found = executions(raced(adds_twice), Exhaustive(reduction=False))
    schedules = [execution.schedule.choices for execution in found]
    assert len(set(schedules)) == len(schedules)
    (steps,) = {tuple(sorted(schedule)) for schedule in schedules}
    assert len(found) == comb(len(steps), steps.count("w0:c0"))


def test_by_default_the_same_task_goes_on() -> None:
    """The default is the first option, which costs nothing."""
    options = [Option("w1:c1", "c1", continues=True), Option("w0:c0", "c0"), Option("!kill:w0", "", fault=True)]
    assert by_default(View(options, [])) == "w1:c1"
    assert View(options, []).could_continue


def test_the_random_walk_takes_each_option_equally_often() -> None:
    """Of three, each in about a third of the decisions."""
    walk = RandomWalk(1)
    walk.start(None)
    options = [Option(f"w{number}:c{number}", f"c{number}") for number in range(3)]
    chosen = [walk.choose(View(options, [])) for _ in range(3_000)]
    assert all(900 < chosen.count(option.choice) < 1_100 for option in options)


def test_looking_ahead_does_not_change_the_odds() -> None:
    """The walk goes on with the same task as often as if it were asked each time."""
    walk = RandomWalk(2)
    walk.start(None)
    options = [Option("w0:c0", "c0", continues=True), Option("w1:c1", "c1")]
    times = [walk.ahead(View(options, [])) for _ in range(4_000)]
    assert abs(times.count(0) / 4_000 - 1 / 2) < 0.05
    assert abs(times.count(1) / 4_000 - 1 / 4) < 0.05


def waits_then_adds(db: Path) -> None:
    """Increment after a second."""
    time.sleep(1.0)
    autocommit(db)


async def appends(db: Path, digit: int) -> None:
    """Append a digit, in one statement."""
    async with aio_plainly(db) as connection:
        await connection.execute("UPDATE t SET n = n * 10 + ?", (digit,))


async def appends_two(db: Path) -> None:
    """Append two digits at once, in tasks of the same call."""
    await asyncio.gather(appends(db, 1), appends(db, 2))


class _EnoughError(Exception):
    """Every outcome has been seen."""


@pytest.mark.forks
@pytest.mark.slow
@pytest.mark.parametrize(
    "scenario",
    [
        raced(autocommit),
        raced([waits_then_adds, waits_then_adds]),
        raced([appends_two]),
        raced([adds_twice, autocommit], faults=Faults(kill=True, most=1)),
        raced([autocommit, autocommit, autocommit]),
    ],
    ids=["two", "timers", "tasks of one call", "a kill", "three"],
)
def test_what_hypothesis_draws_reaches_every_outcome(scenario: Scenario) -> None:
    """A few points for each execution are enough for all that the search finds in full."""
    wanted = outcomes(executions(scenario, Exhaustive()))
    found: set[str] = set()
    with open_testbed(scenario, scenario.workers, patience=2.0) as stage:
        stage.driver.wants_outcomes = True
        workload = scenario.workload(scenario.workers)
        steps = learn(stage.driver, workload)

        # The rarest outcome, a lost update of whose end nobody hears, is one in a hundred.
        @settings(max_examples=2_000, database=None, phases=[Phase.generate])
        @given(st.data())
        def drawn(data: st.DataObject) -> None:
            choices = planned(data.draw, scenario, workload, steps)
            found.update(outcomes([stage.driver.run(choices, workload)]))
            if found >= wanted:
                raise _EnoughError

        with suppress(_EnoughError):
            drawn()
    assert found == wanted
