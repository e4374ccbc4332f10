"""Schedulers around schedulers: on made-up executions, and once for real."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.control.run import run
from harness.errors import BadInput, Diverged
from harness.result import Execution
from harness.scenario import Workload
from harness.schedulers.base import Option, Scheduler, SearchReport, View, report_of
from harness.schedulers.random_walk import RandomWalk
from harness.schedulers.tree.exhaustive import Exhaustive
from harness.schedulers.wrappers.base import Wrapper
from harness.schedulers.wrappers.recheck import Recheck
from harness.schedulers.wrappers.statistics import Decided, Statistics
from harness.schedulers.wrappers.stop_early import StopEarly
from harness.values.history import Event, History, Step
from harness.verdict import Verdict
from tests.harness.counter import raced
from tests.harness.made_steps import step
from tests.harness.sync_programs import autocommit

VIEW = View([Option("w0:c0", "c0", continues=True), Option("w1:c1", "c1")], [])


REPORT = SearchReport(complete=True, cut=True, seen=0.25, pct={2: 7}, predicted=3)


class MadeUp:
    """A scheduler that takes the last option; it notes what it is told, and says that it has covered everything."""

    name = "made-up"

    def __init__(self) -> None:
        self.told: list[Execution | None] = []

    def start(self, previous: Execution | None) -> bool:
        """Begin another one."""
        self.told.append(previous)
        return True

    def report(self) -> SearchReport:
        """Claim a lot."""
        return REPORT

    def choose(self, view: View) -> str | None:
        """Take the last option."""
        return view.options[-1].choice

    def ahead(self, view: View) -> int:
        """Go on three more times."""
        return 3


class Least:
    """A scheduler with no more than it must have."""

    name = "least"

    def start(self, previous: Execution | None) -> bool:
        """Begin no execution."""
        return False

    def choose(self, view: View) -> str | None:
        """Give up."""
        return None


def execution(*steps: Step, told: object = None, **more: Any) -> Execution:
    """Return an execution of *steps* in which one client was told *told*."""
    event = Event("ok", "c0", 0, 0, "op", (), len(steps), 0.0, told)
    return Execution(Workload(()), 0, steps, History((event,)), **more)


READ, WRITE = step("w0:c0", "read", "r data:x"), step("w1:c1", "write", "w data:x")
ONE, OTHER = execution(READ, WRITE), execution(WRITE, READ)
MAKERS: list[Callable[[Scheduler], Wrapper]] = [Wrapper, Recheck, lambda inner: StopEarly(inner, 2), Statistics]


@pytest.mark.parametrize("make", MAKERS, ids=["wrapper", "recheck", "stop-early", "statistics"])
def test_a_wrapper_says_what_the_wrapped_one_says(make: Callable[[Scheduler], Wrapper]) -> None:
    """Its name, what it chooses, how far it looks ahead, and what it has covered."""
    wrapper = make(MadeUp())
    assert wrapper.start(None)
    assert (wrapper.name, wrapper.choose(VIEW), wrapper.ahead(VIEW)) == ("made-up", "w1:c1", 3)
    assert wrapper.report() == REPORT
    least = make(Least())
    assert (least.start(None), least.choose(VIEW), least.ahead(VIEW)) == (False, None, 0)
    assert least.report() == SearchReport()


def test_an_attribute_complete_is_a_report() -> None:
    """A scheduler without ``report`` may say by an attribute that it has covered everything, as it could before."""

    class Before(Least):
        complete = True

    assert report_of(Before()) == SearchReport(complete=True)
    assert Wrapper(Before()).report().complete
    assert not StopEarly(Least(), 1).report().complete


def test_stopping_early_is_never_complete() -> None:
    """After so many executions with nothing new it ends, says why, and claims nothing of what the wrapped one claims."""
    inner = MadeUp()
    early = StopEarly(Statistics(inner), 2)
    assert [early.start(made) for made in (None, ONE, ONE, OTHER, OTHER)] == [True] * 5
    assert not early.start(OTHER)
    stopped = "2 executions in a row that showed nothing new"
    assert early.report() == replace(REPORT, complete=False, stopped=stopped)
    assert Statistics(early).report() == early.report()
    assert len(inner.told) == 5, "what is not run is not begun"


def test_a_repeated_execution_is_hidden_from_the_search() -> None:
    """Every second one is made again, choice for choice, and the wrapped scheduler is told of it once."""
    inner = MadeUp()
    recheck = Recheck(inner, every=2)
    assert recheck.start(None)
    assert recheck.start(ONE)
    assert recheck.start(OTHER)
    assert recheck.choose(VIEW) == "w1:c1"
    assert recheck.choose(VIEW._replace(steps=[WRITE])) == "w0:c0", "as recorded, not as the wrapped one chooses"
    assert inner.told == [None, ONE]
    assert recheck.start(OTHER)
    assert (inner.told, recheck.repeated) == ([None, ONE, OTHER], 1)


@pytest.mark.parametrize(
    "again",
    [
        execution(WRITE, READ),
        execution(READ),
        execution(READ, WRITE._replace(accesses=())),
        execution(READ, WRITE, told=1),
        execution(READ, WRITE, WRITE),
    ],
    ids=["another order", "shorter", "touches less", "told otherwise", "longer"],
)
def test_what_does_not_repeat_itself_is_an_error(again: Execution) -> None:
    """Other steps, fewer, other accesses or another answer."""
    recheck = Recheck(MadeUp())
    recheck.start(None)
    recheck.start(ONE)
    with pytest.raises(Diverged):
        recheck.start(again)


def test_what_was_given_up_is_not_repeated() -> None:
    """An abandoned, failed or stuck execution has no end to compare."""
    inner = MadeUp()
    recheck = Recheck(inner)
    for made in (None, execution(READ, abandoned=True), execution(READ, stuck="it is")):
        recheck.start(made)
    assert (len(inner.told), recheck.repeated) == (3, 0)


def test_decisions_are_counted() -> None:
    """For each execution, and over all."""
    counts = Statistics(MadeUp())
    counts.start(None)
    counts.choose(VIEW)
    counts.choose(VIEW._replace(options=VIEW.options[:1]))
    counts.start(execution(READ, WRITE._replace(preempts=True)))
    counts.start(execution(READ._replace(choice="!kill:w0")))
    assert counts.executions == [Decided(2, 3, 2, 1, 0), Decided(0, 0, 1, 0, 1)]
    assert (counts.total, counts.total.branching) == (Decided(2, 3, 3, 1, 1), 1.5)
    assert Statistics(Least()).total.branching == 0.0


def test_nonsense_is_refused() -> None:
    """No wrapper takes a number that would allow nothing."""
    with pytest.raises(BadInput):
        StopEarly(MadeUp(), 0)
    with pytest.raises(BadInput):
        Recheck(MadeUp(), 0)


# --- for real -------------------------------------------------------------------------------------

_calls = [0]


def remembers(db: Path) -> None:
    """Do something else each time that this process is asked."""
    _calls[0] += 1
    with closing(sqlite3.connect(db)) as connection:
        connection.execute(f"SELECT {_calls[0]}")


@pytest.mark.forks
def test_a_search_that_is_rechecked_stays_complete() -> None:
    """Each execution that ended is repeated, and nothing else changes."""
    counts = Statistics(Exhaustive())
    recheck = Recheck(counts)
    result = run(raced(autocommit), scheduler=recheck, patience=2.0)
    plain = run(raced(autocommit), scheduler="exhaustive", patience=2.0)
    assert result.complete
    assert plain.complete
    assert len(counts.executions) == plain.executions
    assert (recheck.repeated, result.executions) == (plain.executions, 2 * plain.executions)
    assert counts.total.branching > 1.0


@pytest.mark.forks
def test_nondeterminism_is_noticed_by_rechecking() -> None:
    """State that outlives an execution makes the run unknown at the first repetition."""
    result = run(raced(remembers), scheduler=Recheck(RandomWalk(0)), max_executions=50, patience=2.0)
    assert result.verdict is Verdict.UNKNOWN
    assert result.executions <= 2
    assert "departs from the recording" in result.reasons[0]


@pytest.mark.forks
def test_a_run_stops_when_nothing_is_new() -> None:
    """It says so, and is not called complete although the search has little left."""
    result = run(raced(autocommit), scheduler="random", stop_after=15, patience=2.0)
    assert (result.verdict, result.complete) == (Verdict.VALID, False)
    assert result.bound == "15 executions in a row that showed nothing new"
    assert result.coverage.since_new == 15
    assert result.executions < 1_000
    drawn = run(raced(autocommit), scheduler="hypothesis", stop_after=15, patience=2.0)
    assert (drawn.complete, drawn.bound, drawn.coverage.since_new) == (False, result.bound, 15)
