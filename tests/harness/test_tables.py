"""Tables before and after a step: what is read, what is kept of it, and how a replay records it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from harness.control.repeating.recording import record_tables
from harness.control.run import run
from harness.saved.counterexample import Counterexample
from harness.scenario import Scenario
from harness.values.tables import MOST_ROWS, Changed, Row, Tables, compare, read_tables
from scenarios import ALL


def tables(path: Path, *statements: str) -> Tables:
    """Run *statements* in the database *path* and return its tables."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return read_tables({"db": path})


def test_inserted_deleted_and_changed_rows_are_marked(tmp_path: Path) -> None:
    """A row is told by its primary key; of one that changed, the cells."""
    db = tmp_path / "db"
    before = tables(
        db, "CREATE TABLE t (k INTEGER PRIMARY KEY, n)", "INSERT INTO t VALUES (1, 'a'), (2, NULL), (3, x'00ff')"
    )
    after = tables(db, "DELETE FROM t WHERE k = 1", "UPDATE t SET n = 1.5 WHERE k = 2", "INSERT INTO t VALUES (4, '')")
    assert compare(before, before) == ()
    assert compare(before, after) == (
        Changed(
            "db",
            "t",
            ("k", "n"),
            (Row(("1", "a"), lone=True), Row(("2", None), (1,)), Row(("3", "x'00ff'"))),
            (Row(("2", "1.5"), (1,)), Row(("3", "x'00ff'")), Row(("4", ""), lone=True)),
            3,
            3,
        ),
    )


def test_what_is_kept_is_bounded_and_changed_rows_are_kept_first(tmp_path: Path) -> None:
    """At most so many rows, the changed one among them wherever it stands; long cells and BLOBs are cut."""
    db = tmp_path / "db"
    filled = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) INSERT INTO t SELECT i, 'x' FROM n"
    before = tables(db, "CREATE TABLE t (k, n)", filled)
    after = tables(db, f"UPDATE t SET k = x'{'ab' * 100}', n = '{'y' * 500}' WHERE k = 150")
    (table,) = compare(before, after)
    assert table.before is not None
    assert table.after is not None
    assert len(table.before) == len(table.after) == MOST_ROWS
    assert (table.rows_before, table.rows_after, table.partial) == (200, 200, False)
    assert table.before[-1] == Row(("150", "x"), (0, 1))
    blob, text = table.after[-1].cells
    assert blob == f"x'{'ab' * 32}'... (100 bytes)"
    assert text == "y" * 197 + "..."


def test_a_new_table_a_table_without_rowid_and_one_with_other_columns(tmp_path: Path) -> None:
    """What was not there is None; where the columns changed, no cell is compared with another."""
    db = tmp_path / "db"
    before = tables(db, "CREATE TABLE a (x)", "INSERT INTO a VALUES (1)")
    after = tables(
        db,
        "ALTER TABLE a ADD COLUMN y",
        'CREATE TABLE "b ""c" (k TEXT PRIMARY KEY) WITHOUT ROWID',
        'INSERT INTO "b ""c" VALUES (\'z\')',
    )
    first, second = compare(before, after)
    assert (first.before, first.after) == ((Row(("1",), lone=True),), (Row(("1", None), lone=True),))
    assert (second.table, second.before, second.after) == ('b "c', None, (Row(("z",), lone=True),))


def test_every_text_goes_through_the_redaction_before_it_is_cut(tmp_path: Path) -> None:
    """Also one in a BLOB, and one that lies across the place of the cut; changes are still seen."""
    db = tmp_path / "db"
    before = tables(db, "CREATE TABLE t (n)", "INSERT INTO t VALUES ('secret-1')")
    after = tables(
        db,
        "UPDATE t SET n = 'secret-2'",
        f"INSERT INTO t VALUES (CAST('a secret-1' AS BLOB)), ('{'-' * 195}secret-1')",
    )
    (table,) = compare(before, after, lambda text: text.replace("secret-1", "<1>").replace("secret-2", "<2>"))
    assert table.before == (Row(("<1>",), (0,)),)
    assert table.after == (Row(("<2>",), (0,)), Row(("a <1>",), lone=True), Row(("-" * 195 + "<1>",), lone=True))


def test_what_is_no_database_is_left_out(tmp_path: Path) -> None:
    """A file that only begins like one gives no tables and no error."""
    broken = tmp_path / "broken"
    broken.write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    assert read_tables({"broken": broken, "none": tmp_path / "no" / "such"}) == {}


@pytest.fixture(scope="module")
def found() -> Counterexample:
    """A counterexample of the scenario that the tests below replay."""
    return Counterexample.of(run(_variant(), explain=False))


def _variant() -> Scenario:
    scenario = next(scenario for scenario in ALL if scenario.name == "issue-token")
    return scenario.variants["t01-check-then-insert"]


@pytest.mark.forks
@pytest.mark.slow
def test_a_replay_records_what_each_step_committed(found: Counterexample) -> None:
    """Two steps each insert a token: the first where there was none, the second beside the first."""
    recorded = record_tables(_variant(), found)
    assert recorded.why_not == ""
    assert [[(table.table, table.rows_before, table.rows_after) for table in at.tables] for at in recorded.tables] == [
        [("tokens", 0, 1)],
        [("tokens", 1, 2)],
    ]
    for at in recorded.tables:
        assert any(access.mode == "w" for access in found.steps[at.step].accesses)
    assert recorded.tables[-1].step == found.failure.step


@pytest.mark.forks
@pytest.mark.slow
def test_a_replay_that_departs_says_so_instead(found: Counterexample) -> None:
    """Of another program, and of one that no longer fails, there are no tables but the reason."""
    changed = found.steps[1]._replace(text="SELECT 42")
    departed = record_tables(_variant(), replace(found, steps=(found.steps[0], changed, *found.steps[2:])))
    assert (departed.tables, departed.why_not) == ((), "The replay departs from the recording at step 1.")
    otherwise = record_tables(replace(_variant(), invariants=()), found)
    assert otherwise.why_not.startswith("The replay takes the same steps, but fails otherwise: postcondition")
    passing = record_tables(replace(_variant(), invariants=(), postconditions=()), found)
    assert (passing.tables, passing.why_not) == ((), "The replay takes the same steps, but no longer fails.")


@pytest.mark.forks
def test_what_can_not_be_replayed_at_all_says_so(found: Counterexample) -> None:
    """A workload for more workers than there are is no error here."""
    recorded = record_tables(_variant(), replace(found, workers=1))
    assert recorded.tables == ()
    assert "but there are" in recorded.why_not
