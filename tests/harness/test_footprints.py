"""Whatever a step touches is told: programs that are found only then, and the same outcomes as when everything is tried."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness import Verdict
from harness.control.execution.transitions import Transitions
from harness.control.run import run
from harness.values.history import Step
from tests.harness.counter import reduced_and_brute
from tests.harness.footprint_programs import Racy, connected, plain, raced, sql, table
from tests.harness.footprints_of_files import RACY as FILES
from tests.harness.footprints_of_sql import RACY as SQL
from tests.harness.footprints_of_sql import keeps

pytestmark = pytest.mark.forks

PROGRAMS = {**SQL, **FILES}

SHORT = (
    "made by connect", "not yet made by connect", "a log of readers only", "no log after the last close", "serialize",
    "a file with two names, by path", "a directory's links", "length by lseek", "a raw file", "a mode by descriptor",
)  # fmt: skip
"""There trying everything takes few executions. The others were tried by hand, up to 1,200 executions each."""


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_others_can_see_is_found(name: str) -> None:
    """The search meets the interleaving in which one sees the other between two of its operations."""
    program: Racy = PROGRAMS[name]
    result = run(raced(name, program), scheduler="exhaustive", max_executions=500, explain=False, patience=20.0)
    assert result.verdict is Verdict.INVALID, result.reasons or "complete" * result.complete
    assert result.counterexample is not None
    assert result.counterexample.failure is not None
    assert "they returned" in result.counterexample.failure.message


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_pruning_loses_no_outcome(name: str) -> None:
    """The reduced search finds the outcomes that trying everything finds."""
    reduced, brute = reduced_and_brute(raced(name, PROGRAMS[name], ruled=False), most=2_000)
    assert reduced == brute


def gives_up(db: Path) -> str:
    """Raise an error in the middle of a backup; then the database that it was for must be whole, and nobody's journal left."""

    def refuses(*_: int) -> None:
        raise KeyError("enough")

    with connected(db) as source, connected(db.with_name("b.db")) as target:
        try:
            source.backup(target, pages=1, progress=refuses)
        except KeyError:
            return f"{target.execute('PRAGMA integrity_check').fetchone()[0]} {sorted(os.listdir(db.parent))}"
    return "it went on"


def waits_for_both(db: Path) -> None:
    """Copy by pages over a database that others write, waiting for them."""
    with connected(db) as source, connected(db.with_name("b.db")) as target:
        source.backup(target, pages=1, sleep=0.01)


RIGHT = {
    "a backup given up": (gives_up, sql("b.db", "SELECT n FROM t")),
    "a backup waits": (waits_for_both, sql("b.db", "UPDATE t SET n = n + 1")),
    "kept locks are waited for": (keeps("b.db", "UPDATE t SET n = n + 1"), keeps("b.db", "UPDATE t SET n = n + 1")),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_waits_or_gives_up_in_order_is_not_accused(name: str) -> None:
    """Nobody is refused, nothing is left half done, and the search ends."""
    first, second = RIGHT[name]
    program = Racy(
        plain, first, second, lambda one, two: "journal" in str(one) or "went" in str(one) or "locked" in str(two)
    )
    result = run(raced(name, program), scheduler="exhaustive", max_executions=500, explain=False, patience=20.0)
    assert (result.verdict, result.complete) == (Verdict.VALID, True), result.reasons or result.counterexample


def leaves_it_open(db: Path) -> None:
    """Raise an error over a write-ahead log, with the connection in a variable."""
    connection = sqlite3.connect(db.with_name("wal.db"), isolation_level=None)
    connection.execute("UPDATE t SET n = n + 1")
    raise KeyError("enough")


def raises(db: Path) -> str:
    """Say which error came, and which of SQLite's files are there."""
    try:
        leaves_it_open(db)
    except KeyError as error:
        return str(error)
    return "none"


def test_an_error_that_leaves_a_connection_open_is_the_codes_own() -> None:
    """The last connection is closed as the frame is left; the error stays, and the log is gone."""
    program = Racy(plain, raises, raises, lambda one, two: one != "'enough'" or two != "'enough'")
    result = run(raced("left open", program), scheduler="exhaustive", max_executions=500, explain=False, patience=20.0)
    assert (result.verdict, result.complete) == (Verdict.VALID, True), result.reasons or result.counterexample
    only = Racy(
        plain,
        raises,
        lambda db: sorted(name for name in os.listdir(db.parent) if name.endswith("-wal")),
        lambda *_: False,
    )
    assert run(raced("left open", only), scheduler="exhaustive", explain=False, patience=20.0).complete


def writes_later(db: Path) -> list[float]:
    """Write two databases after a minute; return how old the files are then, in seconds, before and after."""
    names = ("db.sqlite", "wal.db")
    time.sleep(60)
    before = [time.time() - (db.parent / name).stat().st_mtime for name in names]
    for name in names:
        sql(name, "UPDATE t SET n = 1")(db)
    return [*map(round, before), *(round(time.time() - (db.parent / name).stat().st_mtime) for name in names)]


def only_databases(db: Path) -> None:
    """Make two databases, and no other file."""
    table(db)
    table(db.with_name("wal.db"), "wal")


@pytest.mark.parametrize("setup", [plain, only_databases])
def test_database_files_have_virtual_times(setup: Callable[[Path], None]) -> None:
    """They are as old as the last change, by the clock of the code under test."""
    program = Racy(setup, writes_later, lambda _: None, lambda one, _: one != [60, 60, 0, 0])
    result = run(raced("times", program), scheduler="exhaustive", explain=False, patience=20.0)
    assert result.verdict is Verdict.VALID, result.counterexample


def reads_once(db: Path) -> None:
    """Open the database and read."""
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("SELECT * FROM t").fetchall()


def test_who_opens_a_database_need_not_be_asked_before_its_first_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    """What opening it reads, its name, is told with the step that the worker passed by itself."""
    taken = []

    def take(self: Transitions, *arguments: Any) -> list[Step]:
        taken.append(steps := real(self, *arguments))
        return steps

    real = Transitions.take
    monkeypatch.setattr(Transitions, "take", take)
    program = Racy(only_databases, reads_once, reads_once, lambda *_: False)
    assert run(raced("opens", program), scheduler="exhaustive", explain=False, patience=20.0).complete
    together = [steps for steps in taken if steps[0].kind == "call" and len(steps) > 1]
    assert together
    for steps in together:
        assert steps[1].kind == "sql"
        assert any(access.resource == "name:db.sqlite" and access.mode == "r" for access in steps[0].accesses)
