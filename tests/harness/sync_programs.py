"""Small programs over ``sqlite3``: each increments a counter once, rightly or not. Raced by ``test_sync_programs``."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import connect as connect_by_name
from typing import Any

READ = "SELECT n FROM t WHERE k = 1"
WRITE = "UPDATE t SET n = ? WHERE k = 1"
ADD = "UPDATE t SET n = n + 1 WHERE k = 1"


@dataclass(frozen=True)
class Program:
    """A worker, whether two of it are right, and the preemptions its race takes."""

    worker: Callable[[Path], Any]
    correct: bool
    preemptions: int = 1

    def __str__(self) -> str:
        return self.worker.__name__


PROGRAMS: list[Program] = []


def program(correct: bool, **options: Any) -> Callable[[Callable[[Path], Any]], Callable[[Path], Any]]:
    """Register a worker."""

    def register(worker: Callable[[Path], Any]) -> Callable[[Path], Any]:
        PROGRAMS.append(Program(worker, correct, **options))
        return worker

    return register


def plainly(db: Path, **options: Any) -> closing[sqlite3.Connection]:
    """Return a connection in autocommit mode, closed at the end of a ``with`` block."""
    return closing(sqlite3.connect(db, isolation_level=None, **options))


def bump(connection: sqlite3.Connection) -> None:
    """Increment by reading and writing back."""
    (n,) = connection.execute(READ).fetchone()
    connection.execute(WRITE, (n + 1,))


@program(correct=False)
def autocommit(db: Path) -> None:
    """Read and write back, each by itself."""
    with plainly(db) as connection:
        bump(connection)


@program(correct=True)
def autocommit_in_one(db: Path) -> None:
    """One statement that reads and writes."""
    with plainly(db) as connection:
        connection.execute(ADD)


@program(correct=False)
def implicit_transaction(db: Path) -> None:
    """The read comes before the transaction that ``sqlite3`` opens by itself."""
    with closing(sqlite3.connect(db)) as connection:
        bump(connection)
        connection.commit()


@program(correct=True)
def implicit_transaction_reading_inside(db: Path) -> None:
    """A write first, so that the read is inside the transaction."""
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("UPDATE t SET n = n WHERE k = 2")
        bump(connection)
        connection.commit()


@program(correct=True)
def immediate(db: Path) -> None:
    """BEGIN IMMEDIATE around both."""
    with plainly(db) as connection:
        connection.execute("BEGIN IMMEDIATE")
        bump(connection)
        connection.execute("COMMIT")


@program(correct=True)
def exclusive(db: Path) -> None:
    """BEGIN EXCLUSIVE around both."""
    with plainly(db) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        bump(connection)
        connection.execute("COMMIT")


@program(correct=False)
def two_transactions(db: Path) -> None:
    """Read in one transaction, write in the next."""
    with plainly(db) as connection:
        connection.execute("BEGIN")
        (n,) = connection.execute(READ).fetchone()
        connection.execute("COMMIT")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(WRITE, (n + 1,))
        connection.execute("COMMIT")


@program(correct=False)
def deferred_upgrade(db: Path) -> None:
    """A transaction that begins by reading is refused when it comes to write."""
    with plainly(db) as connection:
        connection.execute("BEGIN")
        bump(connection)
        connection.execute("COMMIT")


@program(correct=True)
def deferred_upgrade_tried_again(db: Path) -> None:
    """The whole transaction is done again when it is refused, after some random time."""
    import random

    with plainly(db) as connection:
        while True:
            try:
                connection.execute("BEGIN")
                bump(connection)
                connection.execute("COMMIT")
                return
            except sqlite3.OperationalError:
                connection.execute("ROLLBACK")
                time.sleep(random.random())


@program(correct=True)
def own_retries_sleeping(db: Path) -> None:
    """No busy time-out: the program sleeps and tries again."""
    with plainly(db, timeout=0) as connection:
        while True:
            with suppress(sqlite3.OperationalError):
                connection.execute("BEGIN IMMEDIATE")
                break
            time.sleep(0.01)
        bump(connection)
        connection.execute("COMMIT")


@program(correct=True)
def own_retries_spinning(db: Path) -> None:
    """No busy time-out: the program tries again at once."""
    with plainly(db, timeout=0) as connection:
        while True:
            with suppress(sqlite3.OperationalError):
                connection.execute("BEGIN IMMEDIATE")
                break
        bump(connection)
        connection.execute("COMMIT")


@program(correct=False)
def no_timeout(db: Path) -> None:
    """No busy time-out and no retry: whoever comes second is refused."""
    with plainly(db, timeout=0) as connection:
        connection.execute("BEGIN IMMEDIATE")
        bump(connection)
        connection.execute("COMMIT")


@program(correct=False)
def timeout_taken_away(db: Path) -> None:
    """The same, by PRAGMA."""
    with plainly(db) as connection:
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("BEGIN IMMEDIATE")
        bump(connection)
        connection.execute("COMMIT")


@program(correct=True)
def timeout_given(db: Path) -> None:
    """A time-out given by PRAGMA is as good as one given to ``connect``."""
    with plainly(db, timeout=0) as connection:
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("BEGIN IMMEDIATE")
        bump(connection)
        connection.execute("COMMIT")


@program(correct=False, preemptions=0)
def lock_held_too_long(db: Path) -> None:
    """The lock is held for six seconds, and the other waits for five."""
    with plainly(db) as connection:
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(6)
        bump(connection)
        connection.execute("COMMIT")


@program(correct=True)
def lock_held_long(db: Path) -> None:
    """The lock is held for four seconds, and the other waits for five."""
    with plainly(db) as connection:
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(4)
        bump(connection)
        connection.execute("COMMIT")


@program(correct=False)
def executemany(db: Path) -> None:
    """A read, then several rows written in one call, from a generator."""
    with closing(sqlite3.connect(db)) as connection:
        (n,) = connection.execute(READ).fetchone()
        connection.executemany("UPDATE t SET n = ? WHERE k = ?", ((n + 1, k) for k in (2, 1)))
        connection.commit()


@program(correct=False)
def executescript(db: Path) -> None:
    """A script with a transaction in it, written from a value read before."""
    with closing(sqlite3.connect(db)) as connection:
        (n,) = connection.execute(READ).fetchone()
        connection.executescript(f"BEGIN IMMEDIATE; UPDATE t SET n = {n + 1} WHERE k = 1; COMMIT;")


@program(correct=True)
def executescript_in_one(db: Path) -> None:
    """A script that adds inside a transaction."""
    with closing(sqlite3.connect(db)) as connection:
        connection.executescript(f"BEGIN IMMEDIATE; {ADD}; COMMIT;")


@program(correct=False)
def with_connection(db: Path) -> None:
    """``with connection:`` commits, but does not begin."""
    with closing(sqlite3.connect(db)) as connection, connection:
        bump(connection)


@program(correct=True)
def with_connection_immediate(db: Path) -> None:
    """``with connection:`` after an explicit BEGIN IMMEDIATE."""
    with plainly(db) as connection, connection:
        connection.execute("BEGIN IMMEDIATE")
        bump(connection)


@program(correct=False)
def returning(db: Path) -> None:
    """UPDATE ... RETURNING gives the new value, but what is written next is computed from it too late."""
    with plainly(db) as connection:
        (n,) = connection.execute("UPDATE t SET n = n RETURNING n").fetchone()
        connection.execute(WRITE, (n + 1,))


@program(correct=True)
def returning_in_one(db: Path) -> None:
    """UPDATE ... RETURNING does everything, and its row is fetched."""
    with plainly(db) as connection:
        connection.execute(f"{ADD} RETURNING n").fetchall()


@program(correct=False)
def savepoint(db: Path) -> None:
    """A savepoint outside a transaction begins a deferred one, after the read."""
    with plainly(db) as connection:
        (n,) = connection.execute(READ).fetchone()
        connection.execute("SAVEPOINT s")
        connection.execute(WRITE, (n + 1,))
        connection.execute("RELEASE s")


@program(correct=True)
def savepoint_inside(db: Path) -> None:
    """A savepoint rolled back to inside BEGIN IMMEDIATE changes nothing."""
    with plainly(db) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("SAVEPOINT s")
        connection.execute("UPDATE t SET n = 100")
        connection.execute("ROLLBACK TO s")
        bump(connection)
        connection.execute("COMMIT")


@program(correct=False)
def row_factory(db: Path) -> None:
    """Rows by name."""
    with plainly(db) as connection:
        connection.row_factory = sqlite3.Row
        row = connection.execute(READ).fetchone()
        connection.execute(WRITE, (row["n"] + 1,))


class Own(sqlite3.Connection):
    """A connection class of the code under test, which changes how it commits."""

    def commit(self) -> None:
        """Commit as usual."""
        super().commit()


@program(correct=False)
def own_class(db: Path) -> None:
    """``factory=`` with a class of one's own."""
    with closing(sqlite3.connect(db, factory=Own)) as connection:
        bump(connection)
        connection.commit()


@program(correct=False)
def class_called(db: Path) -> None:
    """``sqlite3.Connection`` called directly."""
    with closing(sqlite3.Connection(db)) as connection:
        bump(connection)
        connection.commit()


@program(correct=False)
def connect_imported(db: Path) -> None:
    """``from sqlite3 import connect``."""
    with closing(connect_by_name(db, 5.0, 0, None)) as connection:
        cursor = connection.cursor()
        (n,) = next(cursor.execute(READ))
        cursor.close()
        connection.execute(WRITE, (n + 1,))
