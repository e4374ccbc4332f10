"""What repeats itself only in processes that are alike: the run goes on with fresh ones, and says so."""

from __future__ import annotations

import importlib
import re
import sqlite3
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import harness.control.run as run_module
from harness.control.repeating.replays import replay
from harness.control.run import run
from harness.errors import BadInput
from harness.reports.text.summary import summary
from harness.result import Execution, Failure, Result
from harness.saved.counterexample import Counterexample, load, save
from harness.scenario import Scenario, Workload
from harness.values.history import History
from harness.verdict import Verdict
from tests.harness.counter import counts_to, explored, prepared, raced
from tests.harness.sync_programs import READ, WRITE, autocommit_in_one, plainly

pytestmark = pytest.mark.forks


def bumps(connection: sqlite3.Connection) -> None:
    """Lose updates."""
    (n,) = connection.execute(READ).fetchone()
    connection.execute(WRITE, (n + 1,))


_kept: dict[Path, sqlite3.Connection] = {}


def through_a_kept_connection(db: Path) -> None:
    """Bump through a connection that outlives the execution, though the file is put back under it."""
    if db not in _kept:
        _kept[db] = sqlite3.connect(db, isolation_level=None)
    bumps(_kept[db])


_cache: dict[str, int] = {}


def through_a_cache(db: Path) -> None:
    """Bump what was read once and for all."""
    with plainly(db) as connection:
        if "n" not in _cache:
            (_cache["n"],) = connection.execute(READ).fetchone()
        connection.execute(WRITE, (_cache["n"] + 1,))


def imports_late(db: Path) -> None:
    """Bump with a library that is imported by the first who needs it, and which takes some time."""
    decimal = importlib.import_module("_pydecimal")
    with plainly(db) as connection:
        if "late" not in _cache:
            _cache["late"] = 1
            connection.execute("SELECT 1 /* first */").fetchone()
        (n,) = connection.execute(READ).fetchone()
        connection.execute(WRITE, (int(decimal.Decimal(n) + 1),))


_pool = ThreadPoolExecutor(2)


def in_a_pool(db: Path) -> None:
    """Bump in a thread of a pool that outlives the execution."""

    def work() -> None:
        with plainly(db) as connection:
            bumps(connection)

    _pool.submit(work).result()


PROGRAMS = [through_a_kept_connection, through_a_cache, imports_late, in_a_pool]


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_race_is_found_saved_and_replayed(program: Callable[[Path], Any], tmp_path: Path) -> None:
    """Whatever outlives an execution, and in whatever order things are by chance."""
    scenario = raced(program, at_end=(counts_to(2),))
    result = explored(scenario, max_executions=200)
    assert result.verdict is Verdict.INVALID, result.reasons
    assert result.counterexample is not None
    assert result.counterexample.failure is not None
    assert result.counterexample.failure.rule == "every increment counts"
    found = load(save(Counterexample.of(result), tmp_path))
    assert found.isolation == result.isolation
    again = replay(scenario, found, times=2)
    assert (again.verdict, again.failed_again) == (Verdict.INVALID, 2), again.divergence


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_that_begins_anew_says_so_and_counts_all(jobs: int) -> None:
    """Its executions are those before too; it is complete of what was run in fresh processes."""
    scenario = raced(through_a_kept_connection)
    result = run(scenario, jobs=jobs)
    alone = run(scenario, isolation="fork")
    assert (result.verdict, result.complete, result.isolation) == (Verdict.VALID, True, "fork"), result.reasons
    assert (alone.anew, alone.notes, result.notes) == ("", (), ())
    assert result.executions > alone.executions
    note = result.anew
    assert re.match("After (one execution|[0-9]+ executions) the run began anew, with fresh processes", note)
    text = " ".join(summary(result).split())
    assert "Complete: every interleaving was covered, each execution in fresh processes." in text
    assert "the run began anew, with fresh processes" in text
    assert "Left alone" not in text
    assert "ProgrammingError" in note or "departs" in note


@pytest.mark.slow
def test_a_budget_that_is_spent_leaves_room_to_begin_anew() -> None:
    """A quarter more, where there was none left; too few to say what the failure in used processes was."""
    result = explored(raced(through_a_kept_connection), max_executions=2)
    assert (result.verdict, result.isolation) == (Verdict.UNKNOWN, "fork")
    assert "the search in fresh ones did not end" in " ".join(result.reasons)
    assert result.executions <= 3
    assert result.bound == "3 executions" or result.complete


@pytest.mark.slow
def test_what_is_imported_late_is_imported_before_the_fork() -> None:
    """With fresh processes, from the second on: so that each execution takes no longer for it."""
    name = "_pydecimal"
    sys.modules.pop(name, None)

    def asks(db: Path) -> list[bool]:
        there = name in sys.modules
        importlib.import_module(name)
        return [there, "tests.harness.shelf" in sys.modules]

    told: list[Any] = []
    from harness.scenario import Check

    note = Check("told", lambda history, _: told.extend(each.value for each in history.outcomes()) or True)
    result = explored(raced(asks, postconditions=(note,)), isolation="fork", max_executions=3)
    assert result.verdict is Verdict.VALID, result.reasons
    # The first two are those of the rehearsal.
    assert [there for there, _ in told] == [False] * 2 + [True] * (len(told) - 2)


def test_the_scenario_says_the_isolation() -> None:
    """And the run may say another."""
    scenario = raced(imports_late, isolation="fork", patience=7.0)
    assert scenario.carried_out(None, None) is scenario
    assert scenario.carried_out("warm", 2.0) == replace(scenario, isolation="warm", patience=2.0)
    assert explored(scenario, max_executions=1, explain=False).isolation == "fork"


@pytest.mark.parametrize(
    "wrong",
    [{"isolation": "thread"}, {"patience": 0}, {"patience": float("nan")}, {"patience": "5"}, {"patience": True}],
)
def test_a_wrong_isolation_is_refused(wrong: dict[str, Any]) -> None:
    """As is a patience that is none."""
    with pytest.raises(BadInput, match=r"isolation|patience"):
        raced(imports_late, **wrong)


def test_old_files_are_of_used_processes(tmp_path: Path) -> None:
    """A counterexample says its isolation only where it is another than that."""
    scenario = raced(lambda db: None)
    found = Counterexample.of(_made(scenario))
    assert "isolation" not in save(found, tmp_path).read_text()
    fresh = replace(found, isolation="fork", patience=9.0)
    assert load(save(fresh, tmp_path)) == fresh
    assert fresh.staged(scenario) == replace(scenario, isolation="fork", patience=9.0)


def _made(scenario: Scenario) -> Result:
    result = run(replace(scenario, setup=prepared(), at_end=(counts_to(9),)), explain=False)
    assert result.verdict is Verdict.INVALID
    return result


def test_a_failure_seen_before_is_not_valid_where_the_fresh_search_did_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a race of processes that serve one call after another; only a whole search rules that out."""
    result = explored(raced(autocommit_in_one), explain=False)
    failed = Execution(Workload.each("op0"), 0, (), History(()), Failure("at end", "seen once", "", 0), False)

    def departs(scenario: Scenario, options: Any, tally: Any, remembered: Any) -> Any:
        tally.failed, tally.departed = failed, "it departed"
        return result if scenario.isolation == "warm" else replace(result, verdict=Verdict.VALID, complete=whole)

    monkeypatch.setattr(run_module, "_attempt", departs)
    whole = False
    again = explored(raced(autocommit_in_one), explain=False)
    assert again.verdict is Verdict.UNKNOWN
    assert "One execution failed in processes that had run others before" in again.reasons[0]
    whole = True
    assert explored(raced(autocommit_in_one), explain=False).verdict is Verdict.VALID
