"""How statements are read, and what they are said to touch."""

from __future__ import annotations

import sqlite3

import pytest

from harness.worker.instrument.sqlite import statements
from harness.worker.instrument.sqlite.databases import accesses
from harness.worker.instrument.sqlite.native import NONE, READ, WRITE


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("select 1", "SELECT"),
        ("  \n\tUpdate t", "UPDATE"),
        ("-- a\n--b\n insert into t", "INSERT"),
        ("/* x; */ /**/ DELETE FROM t", "DELETE"),
        ("/* never ends", ""),
        ("", ""),
        (";", ""),
    ],
)
def test_the_keyword_is_the_first_word(sql: str, word: str) -> None:
    """Blanks and comments come before the keyword."""
    assert statements.keyword(sql) == word


@pytest.mark.parametrize(
    "sql", ["insert into t values (1)", "/* c */ update t set n = 1", "-- c\ndelete from t", "replace into t values (1)",
            "select 1", "with x as (select 1) insert into t select * from x", "create table u (n)", "values (1)"],
)  # fmt: skip
def test_a_transaction_is_foreseen_where_sqlite3_opens_one(sql: str) -> None:
    """``Statement.dml`` says of a statement what the real module does with it."""
    connection = sqlite3.connect(":memory:")
    connection.execute("create table t (n)")
    connection.execute(sql)
    assert statements.statement(sql).dml == connection.in_transaction
    connection.close()


def test_a_script_is_cut_into_statements() -> None:
    """Semicolons in texts, comments and triggers do not end a statement."""
    trigger = "CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM u; DELETE FROM v; END;"
    script = f"insert into t values (';'); -- a; b\nselect 1;{trigger} commit"
    assert list(statements.parts(script)) == [
        "insert into t values (';');", "-- a; b\nselect 1;", trigger, "commit",
    ]  # fmt: skip
    assert list(statements.parts("  -- nothing\n")) == []


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("rollback", True),
        ("ROLLBACK TRANSACTION", True),
        ("rollback to s", False),
        ("ROLLBACK\n TO savepoint s", False),
        ("commit", False),
    ],
)
def test_a_rollback_is_told_from_going_back_to_a_savepoint(sql: str, found: bool) -> None:
    """Only what ends the transaction is a rollback."""
    assert statements.statement(sql).rollback is found


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("PRAGMA busy_timeout = 5", True),
        ("pragma main.busy_timeout(7)", True),
        ("PRAGMA busy_timeout", False),
        ("select 1", False),
    ],
)
def test_a_new_busy_timeout_is_noticed(sql: str, found: bool) -> None:
    """Asking for the time-out does not set it."""
    assert statements.statement(sql).busy_timeout is found


def test_parameters_are_shown_shortened_and_without_addresses() -> None:
    """What a step shows is the same in each run."""
    assert statements.shown(()) == ""
    assert statements.shown((1, "a")) == "(1, 'a')"
    assert " at 0x" not in statements.shown((object(),))
    assert len(statements.shown(("x" * 1000,))) < 400


@pytest.mark.parametrize(
    ("before", "after", "wrote", "touched"),
    [
        (NONE, NONE, False, {"data r"}),
        (NONE, READ, False, {"data r"}),
        (READ, READ, False, set()),
        (READ, NONE, False, {"data r"}),
        (NONE, NONE, True, {"data w", "lock w"}),
        (NONE, WRITE, False, {"data r", "lock w"}),
        (READ, WRITE, False, {"data r", "lock w"}),
        (WRITE, WRITE, False, set()),
        (WRITE, NONE, True, {"data w", "lock w"}),
    ],
)
def test_what_a_statement_touches(before: int, after: int, wrote: bool, touched: set[str]) -> None:
    """Reading touches the data, writing the right to write, committing both."""
    assert {f"{resource} {mode}" for resource, mode in accesses(before, after, wrote, False)} == touched


@pytest.mark.parametrize(("wrote", "excludes", "mode"), [(False, False, "r"), (True, False, "w"), (False, True, "w")])
def test_a_refused_write_depends_on_the_readers_that_refused_it(wrote: bool, excludes: bool, mode: str) -> None:
    """Had the reader ended first, the write would have been done: the two may not be exchanged."""
    assert ("data", mode) in accesses(NONE, NONE, wrote, True, excludes)


def test_the_shared_directory_is_not_shown() -> None:
    """Its name is another one in each run, so a path that is stored or attached would differ in a replay."""
    assert statements.shown(("/dev/shm/race-harness-12-0123abcd/world/x.sqlite",)) == "('x.sqlite',)"
