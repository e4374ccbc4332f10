"""Faults: each kind happens where it can, is found where it hurts, and the search for it misses no outcome."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.control.run import run
from harness.errors import BadInput
from harness.faults import Faults
from harness.result import fault_count
from harness.scenario import Call, Check
from harness.schedulers.tree.exhaustive import Exhaustive
from harness.values.history import History
from harness.verdict import Verdict
from tests.harness.counter import executions, explored, one, outcomes, prepared, raced, reduced_and_brute
from tests.harness.faulty_programs import PROGRAMS, adds, impatient, transaction, undoes, waits
from tests.harness.sync_programs import ADD, autocommit

pytestmark = [pytest.mark.forks, pytest.mark.slow]

KINDS = {
    "kill": Faults(kill=True, most=1),
    "cancel": Faults(cancel=True, most=1),
    "errors": Faults(errors=("busy", "full", "io"), most=1),
    "jump": Faults(jumps=(2.0,), most=1),
}


@pytest.mark.parametrize("faults", [pytest.param(faults, id=name) for name, faults in KINDS.items()])
@pytest.mark.parametrize("program", PROGRAMS)
def test_pruning_loses_no_outcome_of_a_fault(program: Callable[[Path], Any], faults: Faults) -> None:
    """The reduced search finds every outcome that trying each fault at each step finds."""
    # Two of those that wait, one of them killed anywhere, are thousands of executions: beside a shorter one, hundreds.
    long = faults.kill and program in (impatient, waits)
    # And one who may be cancelled at each of its waits, and between them and its turn: alone.
    workers: Any = [program, adds] if long else [program] if faults.cancel else program
    scenario = raced(workers, faults=faults, raising_fails=False)
    reduced, brute = reduced_and_brute(scenario)
    assert reduced == brute


def test_two_faults_of_different_kinds_lose_no_outcome() -> None:
    """Faults taken to come as early as possible cover every pair of faults."""
    faults = Faults(kill=True, cancel=True, errors=("io",), most=2)
    # With two workers, to try everything takes tens of thousands of executions: a cancel may come at each wait and after it.
    reduced, brute = reduced_and_brute(raced([adds], workers=1, faults=faults, raising_fails=False))
    assert reduced == brute


def holds_a_lock(db: Path) -> None:
    """Write elsewhere while holding the lock."""
    with (
        closing(sqlite3.connect(db, isolation_level=None)) as connection,
        closing(sqlite3.connect(db.with_name("other.sqlite"), isolation_level=None)) as other,
    ):
        connection.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE t SET n = 1 WHERE k = 1")
        connection.execute("COMMIT")


def is_refused(db: Path) -> str:
    """Say whether somebody holds the lock."""
    with closing(sqlite3.connect(db, isolation_level=None, timeout=0)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return "somebody is at it"
        connection.execute("COMMIT")
    return "nobody is"


def test_what_is_seen_before_a_fault_is_tried_before_it() -> None:
    """A client is refused by a holder that is then killed, having done nothing: the search must not only kill first."""
    scenario = raced(
        [holds_a_lock, is_refused], setup=prepared(files=["other.sqlite"]), faults=Faults(kill=True, most=1)
    )

    def ends(search: Exhaustive) -> set[tuple[object, ...]]:
        found = [each for each in executions(scenario, search) if not each.abandoned]
        told = [sorted((call.client, call.kind, call.value) for call in each.history.outcomes()) for each in found]
        return {(*calls, "UPDATE" in str(each.steps)) for calls, each in zip(told, found, strict=True)}

    reduced = ends(Exhaustive())
    assert (("c0", "info", None), ("c1", "ok", "somebody is at it"), False) in reduced
    assert reduced == ends(Exhaustive(reduction=False))


@pytest.mark.parametrize("preemptions", [0, 1])
def test_a_bound_on_preemptions_loses_nothing_within_it(preemptions: int) -> None:
    """The reduced search finds the outcomes that trying everything within the bound finds."""
    scenario = raced(autocommit, workers=3, raising_fails=False)
    reduced = executions(scenario, Exhaustive(preemptions=preemptions))
    brute = executions(scenario, Exhaustive(reduction=False, preemptions=preemptions))
    assert outcomes(reduced) == outcomes(brute)
    assert max(execution.preemptions for execution in brute) == preemptions


def test_a_bounded_search_says_that_it_is() -> None:
    """A valid verdict within a bound names it, and one that the bound did not touch does not."""
    bounded = explored(raced(transaction), preemptions=0)
    assert bounded.verdict is Verdict.VALID
    assert "at most 0 preemptions" in bounded.within
    assert explored(raced(adds, workers=1), preemptions=0).within == ""


def test_a_cancelled_call_may_have_happened() -> None:
    """Cancelled before its step nothing was written; after it, the result is lost but the write is there."""
    found = executions(raced(transaction, workers=1, faults=KINDS["cancel"]), Exhaustive(reduction=False))
    ends = {(execution.history.outcomes()[0].kind, execution.outcome) for execution in found}
    assert len({outcome for kind, outcome in ends if kind == "info"}) == 2


def test_an_error_undoes_what_sqlite_would_undo() -> None:
    """A transaction is whole or not there, whichever statement fails, and its error is SQLite's own."""

    def all_or_nothing(db: Path) -> bool:
        return one(db) in (0, 1)

    scenario = raced(
        undoes, workers=1, faults=KINDS["errors"], at_end=(Check("whole", all_or_nothing),), raising_fails=False
    )
    found = executions(scenario, Exhaustive())
    assert {
        outcome.value for execution in found for outcome in execution.history.outcomes() if outcome.kind == "fail"
    } == {
        "database is locked",
        "database or disk is full",
        "disk I/O error",
    }
    assert not any(execution.failure for execution in found)


def test_a_jump_of_the_clock_is_seen() -> None:
    """Between two looks at the clock it may have jumped."""
    found = executions(raced(impatient, workers=1, faults=KINDS["jump"]), Exhaustive())
    assert {outcome.value for execution in found for outcome in execution.history.outcomes()} == {"in time", "late"}


def sleeps(db: Path) -> None:
    """Increment after a second."""
    time.sleep(1)
    adds_at_once(db)


def sleeps_longer(db: Path) -> None:
    """Increment after two seconds."""
    time.sleep(2)
    adds_at_once(db)


def adds_at_once(db: Path) -> None:
    """Increment in one statement."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute(ADD)


@pytest.mark.parametrize("scheduler", ["portfolio", "exhaustive", "brute", "random", "pct", "pos", "greybox"])
def test_where_all_wait_no_fault_need_come(scheduler: str) -> None:
    """Time passes though a worker could be killed instead: a rule that only breaks where nobody is killed does break."""
    rule = Check("not both", lambda db: one(db) < 2)
    result = explored(raced(sleeps, faults=KINDS["kill"], at_end=(rule,)), scheduler=scheduler, max_executions=200)
    assert result.verdict is Verdict.INVALID, result.reasons
    assert result.counterexample is not None
    assert fault_count(result.counterexample.steps) == 0


@pytest.mark.usefixtures("own_examples")
def test_where_all_wait_no_fault_need_be_drawn() -> None:
    """The same, drawn by Hypothesis."""
    rule = Check("not both", lambda db: one(db) < 2)
    result = explored(raced(sleeps, faults=KINDS["kill"], at_end=(rule,)), scheduler="hypothesis", max_executions=200)
    assert result.counterexample is not None
    assert fault_count(result.counterexample.steps) == 0


def test_a_fault_comes_again_when_it_came() -> None:
    """A kill after time has passed, where one was possible before too, is repeated at its time."""

    def early(history: History, _: Path) -> bool:
        return all(event.now == 0 for event in history if event.kind == "info")

    scenario = raced([sleeps, sleeps_longer], faults=KINDS["kill"], postconditions=(Check("early", early),))
    result = explored(scenario)
    assert result.verdict is Verdict.INVALID, result.reasons
    assert result.counterexample is not None
    assert any(event.kind == "info" and event.now >= 1 for event in result.counterexample.history)


def test_a_fault_that_never_happens_makes_the_verdict_unknown() -> None:
    """A kind of fault that no execution had proves nothing about it."""
    result = explored(raced(autocommit, workers=1, faults=Faults(cancel=True, most=1)))
    assert result.verdict is Verdict.UNKNOWN
    assert "fault cancel" in result.reasons[0]


def test_the_probe_calls_a_worker_that_served_nobody() -> None:
    """When all is quiet the probe's call is made, on one more worker, and told apart in the history."""

    def probed(db: Path) -> bool:
        return one(db) == 3

    scenario = raced(adds, probe=lambda _: [Call("op0")], at_end=(Check("three", probed),))
    found = executions(scenario, Exhaustive())
    assert not any(execution.failure for execution in found)
    assert {execution.steps[-1].worker for execution in found if not execution.abandoned} == {2}
    assert all(execution.history.outcomes()[-1].client == "probe" for execution in found if not execution.abandoned)


@pytest.mark.parametrize(
    "wrong", [{"most": -1}, {"errors": ("fire",)}, {"jumps": (0.0,)}, {"jumps": (float("inf"),)}], ids=str
)
def test_faults_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    """A number or name that can't be meant is an error that says what can."""
    with pytest.raises(BadInput):
        Faults(**wrong)


def test_a_budget_for_no_fault_is_refused() -> None:
    """A budget of faults for a scenario that has none is in vain, and said to be."""
    with pytest.raises(BadInput, match="no fault"):
        run(raced(adds), faults=1)
