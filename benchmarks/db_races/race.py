"""The definition of a race, and the helpers that the programs share."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Task = Callable[[Path], Any]
Holds = Callable[[sqlite3.Connection], bool]


@dataclass(frozen=True)
class Race:
    """A race, as the package's docstring describes it. `tables` is the SQL that makes the database."""

    name: str
    story: str
    tables: str
    faulty: tuple[Task, ...]
    correct: tuple[Task, ...]
    holds: Holds
    kills: int = 0
    cancels: int = 0
    jumps: tuple[float, ...] = ()

    def set_up(self, db: Path) -> None:
        """Make the database file `db`."""
        with closing(sqlite3.connect(db, isolation_level=None)) as connection:
            connection.executescript(self.tables)

    def right(self, db: Path) -> bool:
        """Return whether the rule holds for the database when all tasks have ended."""
        with closing(sqlite3.connect(db)) as connection:
            return self.holds(connection)

    @property
    def faults(self) -> int:
        """Return how many faults one execution may have, of all kinds together."""
        return self.kills + self.cancels + bool(self.jumps)


@contextmanager
def autocommit(db: Path) -> Iterator[sqlite3.Connection]:
    """Open a connection on which every statement is its own transaction."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        yield connection


@contextmanager
def transaction(db: Path, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
    """Open a connection with one transaction, which is rolled back where the block raises."""
    with autocommit(db) as connection, within(connection, begin):
        yield connection


@contextmanager
def within(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """Run the block as one transaction on an open connection; roll back where it raises."""
    connection.execute(begin)
    try:
        yield
        connection.commit()
    except BaseException:
        connection.rollback()
        raise


def one(connection: sqlite3.Connection, sql: str, *parameters: object) -> Any:
    """Return the first column of the first row, or None where there is no row."""
    row = connection.execute(sql, parameters).fetchone()
    return None if row is None else row[0]


def asks(sql: str, expected: object) -> Holds:
    """Return the rule that the first column of the query's first row is *expected*."""
    return lambda connection: one(connection, sql) == expected


def story(task: Callable[..., Any]) -> str:
    """Return a function's docstring on one line."""
    return " ".join((task.__doc__ or "").split())


def race(name: str, tables: str, faulty: Task, correct: Task, holds: Holds, *, times: int = 2, kills: int = 0) -> Race:
    """Return a race of one task with itself."""
    return Race(name, story(faulty), tables, (faulty,) * times, (correct,) * times, holds, kills)


def mixed(
    name: str,
    tables: str,
    faulty: Sequence[Task],
    correct: Sequence[Task],
    holds: Holds,
    *,
    kills: int = 0,
    cancels: int = 0,
    jumps: tuple[float, ...] = (),
) -> Race:
    """Return a race of different tasks; its story is that of the first task."""
    return Race(name, story(faulty[0]), tables, tuple(faulty), tuple(correct), holds, kills, cancels, jumps)
