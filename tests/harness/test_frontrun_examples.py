"""What frontrun 0.7.0 shows of its process mode, written anew: found in at most as many executions, its safe twin valid."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import harness
from harness import Verdict

THEIRS = 2
"""The executions after which frontrun 0.7.0 reports either race (`docs/benchmarks.md`)."""


def plainly(db: Path) -> closing[sqlite3.Connection]:
    """Return a connection that commits each statement."""
    return closing(sqlite3.connect(db, isolation_level=None))


def setup(db: Path) -> None:
    """A counter at 0, and one last piece."""
    with plainly(db) as connection:
        connection.execute("CREATE TABLE counter (id INTEGER PRIMARY KEY, val INTEGER)")
        connection.execute("INSERT INTO counter VALUES (1, 0)")
        connection.execute("CREATE TABLE items (name PRIMARY KEY, stock INTEGER)")
        connection.execute("INSERT INTO items VALUES ('last', 1)")


def increment(db: Path) -> None:
    """Read, then write: two statements."""
    with plainly(db) as connection:
        (val,) = connection.execute("SELECT val FROM counter WHERE id = 1").fetchone()
        connection.execute("UPDATE counter SET val = ? WHERE id = 1", (val + 1,))


def increment_at_once(db: Path) -> None:
    """The same in one statement."""
    with plainly(db) as connection:
        connection.execute("UPDATE counter SET val = val + 1 WHERE id = 1")


def reserve(db: Path) -> None:
    """Take a piece if there is one."""
    with plainly(db) as connection:
        (stock,) = connection.execute("SELECT stock FROM items WHERE name = 'last'").fetchone()
        if stock > 0:
            connection.execute("UPDATE items SET stock = stock - 1 WHERE name = 'last'")


def counts_to_two(db: Path) -> bool:
    """Whether no increment is lost."""
    with plainly(db) as connection:
        return bool(connection.execute("SELECT val FROM counter").fetchone() == (2,))


def stock_never_negative(db: Path) -> bool:
    """Whether no piece was taken twice."""
    with plainly(db) as connection:
        return bool(connection.execute("SELECT stock FROM items").fetchone()[0] >= 0)


@pytest.mark.forks
@pytest.mark.parametrize(("worker", "rule"), [(increment, counts_to_two), (reserve, stock_never_negative)])
def test_its_races_are_found_as_soon(worker: object, rule: object) -> None:
    """In no more executions than it reports."""
    result = harness.race(setup=setup, worker=worker, workers=2, invariant=rule, check=False)  # type: ignore[arg-type]
    assert result.verdict is Verdict.INVALID
    assert result.first_failure is not None
    assert result.first_failure <= THEIRS


@pytest.mark.forks
def test_its_safe_twin_is_valid_in_every_interleaving() -> None:
    """All of them, in no more executions than it takes."""
    result = harness.race(setup=setup, worker=increment_at_once, workers=2, invariant=counts_to_two)
    assert result.complete
    assert result.executions <= THEIRS
