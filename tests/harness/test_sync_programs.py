"""Right programs are valid and faulty ones invalid, in both journal modes; and nothing is lost by pruning."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from harness.reports.text.summary import summary
from harness.schedulers.tree.exhaustive import Exhaustive
from harness.verdict import Verdict
from tests.harness.counter import MODES, counts_to, executions, explored, raced, reduced_and_brute
from tests.harness.sync_programs import PROGRAMS, Program

pytestmark = pytest.mark.forks

ALIKE = ("own_class", "class_called", "with_connection", "executemany")
"""To the scheduler these are ``implicit_transaction`` once more, and trying everything takes long."""
ENDLESS_FOR_BRUTE = ("deferred_upgrade_tried_again",)
ONE_PIECE = "each SQL statement in one piece"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_each_program_is_judged_right(program: Program, mode: str) -> None:
    """Two workers of each: valid and complete if it is right, else invalid with as few preemptions as it takes."""
    result = explored(raced(program.worker, mode, at_end=(counts_to(2),)))
    if program.correct:
        assert (result.verdict, result.complete) == (Verdict.VALID, True), result.reasons or result.counterexample
    else:
        assert result.verdict is Verdict.INVALID, result.reasons
        assert result.counterexample is not None
        assert result.counterexample.preemptions == program.preemptions


@pytest.mark.slow
@pytest.mark.parametrize("program", [program for program in PROGRAMS if str(program) not in ALIKE], ids=str)
def test_pruning_loses_no_outcome(program: Program) -> None:
    """The reduced search finds the outcomes that trying everything finds."""
    if str(program) in ENDLESS_FOR_BRUTE:
        pytest.skip("there is no end to trying everything")
    reduced, brute = reduced_and_brute(raced(program.worker, raising_fails=False))
    assert reduced == brute


def impatiently(db: Path) -> None:
    """Increment by a connection that waits for no lock; being refused is allowed."""
    with closing(sqlite3.connect(db, isolation_level=None, timeout=0)) as connection:
        connection.execute("UPDATE t SET n = n + 1 WHERE k = 1")


def patiently(db: Path) -> None:
    """The same, waiting for the lock."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("UPDATE t SET n = n + 1 WHERE k = 1")


@pytest.mark.parametrize(("work", "rests_on"), [(impatiently, ONE_PIECE), (patiently, "")])
def test_complete_names_that_statements_are_indivisible_where_it_matters(work: Any, rests_on: str) -> None:
    """In reality a connection with no time-out can be refused in the middle of another's statement."""
    result = explored(raced(work, expected_errors=("OperationalError",)), scheduler="exhaustive")
    assert (result.verdict, result.complete, result.delays) == (Verdict.VALID, True, rests_on)
    assert rests_on in summary(result)


def checkpoints(db: Path) -> None:
    """Checkpoint the write-ahead log: told at once if another does."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint")


def changes_the_mode(db: Path) -> None:
    """Change the journal mode: refused at once where somebody has a lock."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = delete")


def keeps_the_mode(db: Path) -> None:
    """Ask for the journal mode that there is, as applications do on each connection."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("UPDATE t SET n = n + 1 WHERE k = 1")


def reads_and_writes(db: Path) -> None:
    """Read, then write, in one transaction: refused at once while another has the right to write."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT n FROM t").fetchone()
        connection.execute("UPDATE t SET n = n + 1 WHERE k = 1")
        connection.execute("COMMIT")


@pytest.mark.parametrize(
    ("work", "rests_on"),
    [
        (checkpoints, ONE_PIECE),
        (changes_the_mode, ONE_PIECE),
        (keeps_the_mode, ""),
        (reads_and_writes, ""),
        ([reads_and_writes, patiently], ONE_PIECE),
    ],
)
def test_so_it_does_where_sqlite_refuses_without_waiting(work: Any, rests_on: str) -> None:
    """Two checkpoints, a new journal mode, and a reader that would write while a lone statement has the right to."""
    race = raced(work, "wal", expected_errors=("OperationalError",))
    result = explored(race, scheduler="exhaustive")
    assert (result.verdict, result.complete, result.delays) == (Verdict.VALID, True, rests_on)


KEPT: list[sqlite3.Connection] = []


def shuts(db: Path) -> None:
    """Keep readers out, to the end."""
    KEPT.append(sqlite3.connect(db, isolation_level=None))
    KEPT[-1].execute("BEGIN EXCLUSIVE")


def begins(db: Path) -> bool:
    """Write in an implicit transaction, and tell whether there is one: a schema that can't be read lets none begin."""
    with closing(sqlite3.connect(db, timeout=1)) as connection:
        with suppress(sqlite3.OperationalError):
            connection.execute("UPDATE t SET n = 1 WHERE k = 1")
        return connection.in_transaction


def test_who_begins_reads_the_schema_or_waits_for_whoever_shuts_it() -> None:
    """The transaction that comes too late is not begun, one that comes just before the lock is, and one done is done."""
    race = raced([begins, shuts], expected_errors=("OperationalError",))
    reduced, brute = (
        {
            outcome.value
            for execution in executions(race, scheduler)
            for outcome in execution.history.outcomes()
            if outcome.client == "c0" and outcome.kind == "ok"
        }
        for scheduler in (Exhaustive(), Exhaustive(reduction=False))
    )
    assert reduced == brute == {True, False}
