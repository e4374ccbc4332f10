"""Transactions that are there, and not enough: begun too late, too weak, in two orders, or cancelled half-way."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import aiosqlite

from benchmarks.db_races.race import Race, Task, asks, autocommit, mixed, one, race, transaction

COUNTER = "CREATE TABLE counter (n INTEGER); INSERT INTO counter VALUES (0);"
PAIR = "CREATE TABLE one (n INTEGER); INSERT INTO one VALUES (0); CREATE TABLE two (n INTEGER); INSERT INTO two VALUES (0);"


def upgrade(db: Path) -> None:
    """Begin as a reader and turn writer half-way: of two, one is refused, at once."""
    with transaction(db, "BEGIN") as connection:
        connection.execute("UPDATE counter SET n = ?", (one(connection, "SELECT n FROM counter") + 1,))


def lock_first(db: Path) -> None:
    """Begin as a writer."""
    with transaction(db) as connection:
        connection.execute("UPDATE counter SET n = ?", (one(connection, "SELECT n FROM counter") + 1,))


def implicit(db: Path) -> None:
    """Python's default transactions begin with the UPDATE, after the SELECT that it depends on."""
    with closing(sqlite3.connect(db)) as connection:
        n = one(connection, "SELECT n FROM counter")
        connection.execute("UPDATE counter SET n = ?", (n + 1,))
        connection.commit()


def two_transactions(db: Path) -> None:
    """Read in one transaction, write in the next."""
    with transaction(db, "BEGIN") as connection:
        n = one(connection, "SELECT n FROM counter")
    with transaction(db) as connection:
        connection.execute("UPDATE counter SET n = ?", (n + 1,))


def in_two_files(first: str, second: str) -> Task:
    """A task that writes to two databases, one after the other, and waits for the locks."""

    def write(db: Path) -> None:
        """Lock two databases, the other in the opposite order: a deadlock, which SQLite's time-out ends with an error."""
        with autocommit(db.with_name(first)) as a, autocommit(db.with_name(second)) as b:
            for connection in (a, b):
                connection.execute("CREATE TABLE IF NOT EXISTS t (n)")
            a.execute("BEGIN IMMEDIATE")
            a.execute("INSERT INTO t VALUES (1)")
            b.execute("BEGIN IMMEDIATE")
            b.execute("INSERT INTO t VALUES (1)")
            b.commit()
            a.commit()

    return write


def keeps_pair(*, locked: bool) -> Task:
    """A task that keeps two tables equal."""

    def write(db: Path) -> None:
        """Change two tables that must agree, in two transactions that another's may come between."""
        with transaction(db) if locked else autocommit(db) as connection:
            n = one(connection, "SELECT n FROM one") + 1
            connection.execute("UPDATE one SET n = ?", (n,))
            connection.execute("UPDATE two SET n = ?", (n,))

    return write


def swallows_busy(db: Path) -> None:
    """Give up at once where the database is locked, and say nothing."""
    with (
        closing(sqlite3.connect(db, isolation_level=None, timeout=0)) as connection,
        suppress(sqlite3.OperationalError),
    ):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE counter SET n = n + 1")
        connection.execute("COMMIT")


def waits_when_busy(db: Path) -> None:
    """Wait for the lock."""
    with transaction(db) as connection:
        connection.execute("UPDATE counter SET n = n + 1")


def shared_connection(*, shared: bool) -> Task:
    """A task whose two coroutines write."""

    async def write(db: Path) -> None:
        """Two coroutines on one connection: the ROLLBACK of one undoes what the other has not committed."""
        async with (
            aiosqlite.connect(db, isolation_level=None) as first,
            aiosqlite.connect(db, isolation_level=None) as second,
        ):

            async def adds() -> None:
                await first.execute("BEGIN IMMEDIATE")
                await first.execute("UPDATE counter SET n = n + 1")
                with suppress(sqlite3.OperationalError):
                    await first.commit()

            async def fails() -> None:
                other = first if shared else second
                with suppress(sqlite3.OperationalError):
                    await other.execute("BEGIN IMMEDIATE")
                await other.rollback()

            await asyncio.gather(adds(), fails())

    return write


def cancelled(*, guarded: bool) -> Task:
    """A task that is cancelled while it is in a transaction, and goes on with the same connection."""

    async def work(db: Path) -> None:
        """Leave a transaction open when cancelled: the next one on the connection is part of it, and lost with it."""
        async with aiosqlite.connect(db, isolation_level=None) as connection:

            async def adds() -> None:
                await connection.execute("BEGIN IMMEDIATE")
                try:
                    await connection.execute("UPDATE counter SET n = n + 10")
                    await asyncio.sleep(1)
                    await connection.commit()
                except asyncio.CancelledError:
                    if guarded:
                        await connection.rollback()
                    raise

            with suppress(TimeoutError):
                await asyncio.wait_for(adds(), 0.5)
            if not connection.in_transaction:
                await connection.execute("BEGIN IMMEDIATE")
            await connection.execute("UPDATE counter SET n = n + 1")
            await connection.commit()

    return work


RACES: tuple[Race, ...] = (
    race("deferred-upgrade", COUNTER, upgrade, lock_first, asks("SELECT n FROM counter", 2)),
    race("implicit-transaction", COUNTER, implicit, lock_first, asks("SELECT n FROM counter", 2)),
    race("two-transactions", COUNTER, two_transactions, lock_first, asks("SELECT n FROM counter", 2)),
    mixed(
        "lock-order",
        COUNTER,
        (in_two_files("x.db", "y.db"), in_two_files("y.db", "x.db")),
        (in_two_files("x.db", "y.db"), in_two_files("x.db", "y.db")),
        asks("SELECT n FROM counter", 0),
    ),
    race(
        "two-tables",
        PAIR,
        keeps_pair(locked=False),
        keeps_pair(locked=True),
        lambda c: one(c, "SELECT one.n - two.n FROM one, two") == 0 and one(c, "SELECT n FROM one") == 2,
    ),
    race("busy-swallowed", COUNTER, swallows_busy, waits_when_busy, asks("SELECT n FROM counter", 2)),
    mixed(
        "shared-connection",
        COUNTER,
        (shared_connection(shared=True),),
        (shared_connection(shared=False),),
        asks("SELECT n FROM counter", 1),
    ),
    mixed(
        "cancelled-in-transaction",
        COUNTER,
        (cancelled(guarded=False),),
        (cancelled(guarded=True),),
        asks("SELECT n FROM counter", 1),
    ),
)
