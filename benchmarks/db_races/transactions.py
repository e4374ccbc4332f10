"""Races in spite of transactions: begun too late, too weak, in two orders, or cancelled half-way."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import aiosqlite

from benchmarks.db_races.race import Race, Task, asks, autocommit, mixed, one, race, transaction

COUNTER = "CREATE TABLE counter (n INTEGER); INSERT INTO counter VALUES (0);"
REQUESTS = f"{COUNTER} CREATE TABLE request (id INTEGER);"
LOCKS = "CREATE TABLE lock (name TEXT, held INTEGER); INSERT INTO lock VALUES ('a', 0), ('b', 0);"
PAIR = "CREATE TABLE one (n INTEGER); INSERT INTO one VALUES (0); CREATE TABLE two (n INTEGER); INSERT INTO two VALUES (0);"


def upgrade(db: Path) -> None:
    """Begin as a reader and become a writer half-way: if two do so, one is refused at once."""
    with transaction(db, "BEGIN") as connection:
        connection.execute("UPDATE counter SET n = ?", (one(connection, "SELECT n FROM counter") + 1,))


def lock_first(db: Path) -> None:
    """Begin as a writer."""
    with transaction(db) as connection:
        connection.execute("UPDATE counter SET n = ?", (one(connection, "SELECT n FROM counter") + 1,))


def implicit(db: Path) -> None:
    """Use Python's implicit transactions, which begin with the UPDATE, after the SELECT that it depends on."""
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
    """Return a task that writes to two databases, one after the other, and waits for the locks."""

    def write(db: Path) -> None:
        """Lock two databases, each task in another order: a deadlock, which SQLite's time-out ends with an error."""
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
    """Return a task that keeps two tables equal."""

    def write(db: Path) -> None:
        """Change two tables that must agree in two transactions: another task's changes may come between them."""
        with transaction(db) if locked else autocommit(db) as connection:
            n = one(connection, "SELECT n FROM one") + 1
            connection.execute("UPDATE one SET n = ?", (n,))
            connection.execute("UPDATE two SET n = ?", (n,))

    return write


def swallows_busy(db: Path) -> None:
    """Give up at once where the database is locked, without an error."""
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
    """Return a task with two coroutines, on one connection or on two."""

    async def write(db: Path) -> None:
        """Run two coroutines on one connection: the ROLLBACK of one undoes the uncommitted changes of the other."""
        async with (
            aiosqlite.connect(db, isolation_level=None) as first,
            aiosqlite.connect(db, isolation_level=None) as second,
        ):

            async def adds() -> None:
                await first.execute("BEGIN IMMEDIATE")
                await first.execute("UPDATE counter SET n = n + 1")
                await first.commit()

            async def looks_and_leaves() -> None:
                mine = first if shared else second
                await mine.execute_fetchall("SELECT n FROM counter")
                await mine.rollback()

            await asyncio.gather(adds(), looks_and_leaves())

    return write


def serves(*, guarded: bool) -> Task:
    """Return a task that serves two requests on one connection, and goes on where a request is cancelled."""

    async def serve(db: Path) -> None:
        """Roll back only for an `Exception`, which a cancellation is not: the next request is in the same transaction."""
        async with aiosqlite.connect(db, isolation_level=None) as connection:
            for request in (1, 2):
                with suppress(asyncio.CancelledError):
                    await adds_one(connection, request, BaseException if guarded else Exception)

    return serve


async def adds_one(connection: aiosqlite.Connection, request: int, caught: type[BaseException]) -> None:
    """Serve one request: insert a row and count it, in one transaction."""
    try:
        await connection.execute("BEGIN IMMEDIATE")
        await connection.execute("INSERT INTO request VALUES (?)", (request,))
        await connection.execute("UPDATE counter SET n = n + 1")
        await connection.commit()
    except caught:
        await connection.rollback()
        raise


def locks_rows(first: str, second: str) -> Task:
    """Return a task that takes two locks that are rows, and retries until it gets them."""

    def work(db: Path) -> None:
        """Take two hand-made locks in opposite orders: nothing detects the deadlock, and both tasks retry for ever."""
        with autocommit(db) as connection:
            for name in (first, second):
                while not connection.execute("UPDATE lock SET held = 1 WHERE name = ? AND NOT held", (name,)).rowcount:
                    time.sleep(0.01)
            connection.execute("UPDATE lock SET held = 0")

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
        REQUESTS,
        (serves(guarded=False),),
        (serves(guarded=True),),
        asks("SELECT n - (SELECT count(*) FROM request) FROM counter", 0),
        cancels=1,
    ),
    mixed(
        "row-locks-in-two-orders",
        LOCKS,
        (locks_rows("a", "b"), locks_rows("b", "a")),
        (locks_rows("a", "b"), locks_rows("a", "b")),
        asks("SELECT sum(held) FROM lock", 0),
    ),
    race(
        "upgrade-of-a-snapshot",
        f"PRAGMA journal_mode = WAL; {COUNTER}",
        upgrade,
        lock_first,
        asks("SELECT n FROM counter", 2),
    ),
)
