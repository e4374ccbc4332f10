"""Cutting at states seen before: what is left out is known, and states that only seem equal are found out."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from harness.boundary.inherited_locks import Inherited
from harness.boundary.virtual_ids import PARENT
from harness.control.testbed.shared_files import SharedState
from harness.faults import Faults
from harness.reports.text.summary import summary
from harness.result import Execution
from harness.scenario import Call, Client, Workload
from harness.schedulers.base import Option, View
from harness.schedulers.tree import stateful
from harness.schedulers.tree.exhaustive import Exhaustive
from harness.schedulers.tree.stateful import Stateful
from harness.schedulers.tree.visited import Visited
from harness.values.history import History
from tests.harness.counter import executions, explored, one, outcomes, raced
from tests.harness.sync_programs import autocommit


def looks_and_adds(db: Path) -> None:
    """Two statements, of which only the second leaves anything behind."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        ((found,),) = connection.execute("SELECT n FROM t WHERE k = 1").fetchall()
        connection.execute("UPDATE t SET n = ? WHERE k = 1", (found + 1,))


KILLED = raced([looks_and_adds, looks_and_adds], faults=Faults(kill=True, most=2))


@pytest.mark.forks
def test_what_is_not_run_was_seen() -> None:
    """The search is the same, execution for execution, but for those that need not be run."""
    plain, search = executions(KILLED, Exhaustive()), Stateful()
    found = executions(KILLED, search)
    assert search.complete
    assert search.predicted > len(found) / 10
    assert len(found) + search.predicted == len(plain)
    assert outcomes(found) == outcomes(plain)
    assert {execution.schedule for execution in found} <= {execution.schedule for execution in plain}


def remembers(db: Path) -> tuple[Path, int]:
    """Make an application that reads the counter once, as it begins."""
    return db, one(db)


def adds(app: tuple[Path, int]) -> None:
    """Count, in one statement."""
    with closing(sqlite3.connect(app[0], isolation_level=None)) as connection:
        connection.execute("UPDATE t SET n = n + 1 WHERE k = 1")


def tells(app: tuple[Path, int]) -> int:
    """Say what is remembered."""
    with closing(sqlite3.connect(app[0], isolation_level=None)) as connection:
        connection.execute("SELECT n FROM t").fetchall()
    return app[1]


@pytest.mark.forks
def test_what_a_process_found_as_it_began_anew_is_part_of_the_state() -> None:
    """Killed before or after the count, it remembers another one, though all else is the same."""

    def workload(_: int) -> Workload:
        return Workload((Client((Call("op0", (), 0),)), Client((Call("op1", (), 1), Call("op1", (), 1)))), 2)

    scenario = raced([adds, tells], "wal", open=remembers, workload=workload, faults=Faults(kill=True, most=1))
    plain, search = executions(scenario, Exhaustive()), Stateful()
    found = executions(scenario, search)
    assert search.wants_states, "two states were taken for one"
    assert len(found) + search.predicted == len(plain)
    assert outcomes(found) == outcomes(plain)


@pytest.mark.forks
def test_after_a_surprise_all_is_searched_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what follows is once not what followed nobody knows what was left out, so states are not asked for any more."""
    learn, learnt = Visited.learn, []

    def surprised(self: Visited, execution: Execution) -> bool:
        learnt.append(learn(self, execution))
        return len(learnt) < 4

    monkeypatch.setattr(Visited, "learn", surprised)
    scenario, search = raced([looks_and_adds, looks_and_adds]), Stateful()
    found, plain = executions(scenario, search), executions(scenario, Exhaustive())
    assert learnt == [True] * 4
    assert (search.complete, search.wants_states, search.predicted) == (True, False, 0)
    assert [each.schedule for each in found[4:]] == [each.schedule for each in plain]


@pytest.mark.forks
def test_states_that_spare_little_are_no_longer_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """To tell them takes time."""
    monkeypatch.setattr(stateful, "_TRIAL", 3)
    search = Stateful()
    assert search.wants_states
    executions(raced(autocommit), search)
    assert not search.wants_states


@pytest.mark.forks
def test_a_run_says_how_many_were_not_run() -> None:
    """By default too: the portfolio's exhaustive search cuts as well."""
    result = explored(KILLED)
    assert result.complete
    assert result.foreseen
    assert f"Skipped, as their outcome follows from states visited before: {result.foreseen} more." in summary(
        result, width=200
    )


@contextmanager
def _world(folder: Path) -> Iterator[SharedState]:
    world = SharedState(folder / "world", Inherited())
    with closing(sqlite3.connect(world.db)) as connection, connection:
        connection.execute("CREATE TABLE t (n)")
    yield world
    world.close()


def _do(world: SharedState, *statements: str) -> int | None:
    with closing(sqlite3.connect(world.db)) as connection:
        for statement in statements:
            with connection:
                connection.execute(statement)
    return world.fingerprint()


def test_likeness_is_of_rows_and_their_numbers(tmp_path: Path) -> None:
    """How often something was written is not seen, what the next row's number will be is."""
    with _world(tmp_path) as world:
        one = _do(world, "INSERT INTO t VALUES (1)")
        assert _do(world, "UPDATE t SET n = 2", "UPDATE t SET n = 1") == one
        assert _do(world, "UPDATE t SET n = 2") != one
        assert _do(world, "DELETE FROM t", "INSERT INTO t (rowid, n) VALUES (5, 1)") not in (one, None)
        assert _do(world, "DELETE FROM t", "INSERT INTO t VALUES (1)") == one
        assert _do(world, "CREATE TABLE u (k TEXT PRIMARY KEY) WITHOUT ROWID") not in (one, None)


def test_likeness_sees_journals_and_other_files(tmp_path: Path) -> None:
    """Whoever comes next to a journal that a dead process left has to undo what it tells of."""
    with _world(tmp_path) as world:
        before = world.fingerprint()
        Path(f"{world.db}-journal").write_bytes(b"")
        empty = world.fingerprint()
        (world.directory / "file").write_text("one")
        other = world.fingerprint()
        (world.directory / "file").write_text("two")
        assert len({before, empty, other, world.fingerprint()}) == 4


def test_no_likeness_where_it_can_not_be_told(tmp_path: Path) -> None:
    """A file that only says it is a database."""
    with _world(tmp_path) as world:
        world.db.write_bytes(b"SQLite format 3\x00 or not")
        assert world.fingerprint() is None


def test_likeness_sees_the_locks_of_multiprocessing(tmp_path: Path) -> None:
    """Whoever was killed with one has left it taken."""
    lock = multiprocessing.Lock()
    with _world(tmp_path) as world:
        inherited = world._inherited
        number = next(each for each, found in enumerate(inherited.locks) if found is lock)
        free = world.fingerprint()
        inherited.set(number, 0)
        assert world.fingerprint() not in (free, None)
        inherited.set(number, 1)
        assert world.fingerprint() == free


def test_what_follows_must_be_what_followed() -> None:
    """The same choice in the same state, with another consequence."""
    visited = Visited()
    view = View([Option("w0:c0", "c0")], [], state=5)
    for failure, learns in ((False, True), (True, False)):
        visited.begin()
        visited.decided(view, "w0:c0")
        visited.decided(view._replace(state=6 + failure), "")
        assert visited.learn(_ended()) is learns


def _ended() -> Execution:
    return Execution(Workload((), 1), 0, (), History(), None, abandoned=True)


def _asks_whether_the_first_lives(db: Path) -> bool:
    try:
        os.kill(PARENT + 1, 0)
        found = True
    except ProcessLookupError:
        found = False
    (db.parent / "own").write_text("a")
    return found


def _leaves_no_mark(db: Path) -> None:
    (db.parent / "mark").touch()
    (db.parent / "mark").unlink()


@pytest.mark.forks
def test_what_a_process_saw_of_anothers_life_is_part_of_the_state() -> None:
    """It remembers whether the other lived when all else has become the same again."""
    scenario = raced([_leaves_no_mark, _asks_whether_the_first_lives], faults=Faults(kill=True, most=1))
    plain, search = executions(scenario, Exhaustive()), Stateful()
    found = executions(scenario, search)
    assert len(found) + search.predicted == len(plain), "two states were taken for one"
    assert outcomes(found) == outcomes(plain)
