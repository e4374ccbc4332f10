"""The programs that both tools judge: plain, unmodified Python over one SQLite file.

No code here imports a race tester. Every worker is a function of the module (so it can be pickled by name), opens its
own connection, and keeps SQLite's default time-out for locks unless its story says otherwise. Each program has two workers.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import aiosqlite

Journal = Literal["delete", "wal"]
Expected = Literal["valid", "invalid"]
JOURNALS: tuple[Journal, ...] = ("delete", "wal")

READ = "SELECT value FROM counter WHERE id = 1"
WRITE = "UPDATE counter SET value = ? WHERE id = 1"
ADD_ONE = "UPDATE counter SET value = value + 1 WHERE id = 1"


@dataclass(frozen=True)
class Program:
    """A program with the right answer about it; with `indexed`, the worker's function also takes the worker's number."""

    name: str
    journal: Journal
    story: str
    setup: Callable[[Path], None]
    worker: Callable[..., Any]
    invariant: Callable[[Path], bool]
    expected: Expected
    is_async: bool = False
    indexed: bool = False


# -- the world before, and what must be true of it afterwards ----------------------------------------------


def set_up_counter(db: Path, journal: Journal) -> None:
    """Make a database with a counter at 0."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("CREATE TABLE counter (id INTEGER PRIMARY KEY, value INTEGER NOT NULL)")
        connection.execute("INSERT INTO counter VALUES (1, 0)")


def set_up_accounts(db: Path, journal: Journal) -> None:
    """Make a database with two accounts that hold 10 each."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("CREATE TABLE account (name TEXT PRIMARY KEY, balance INTEGER NOT NULL)")
        connection.execute("INSERT INTO account VALUES ('a', 10), ('b', 10)")


def counter_is(expected: int, db: Path) -> bool:
    """Return whether the counter has ended at exactly `expected`."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        return bool(connection.execute(READ).fetchone() == (expected,))


def money_is_conserved(db: Path) -> bool:
    """Return whether the sum of the accounts is unchanged."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        return bool(connection.execute("SELECT sum(balance) FROM account").fetchone() == (20,))


# -- the workers -------------------------------------------------------------------------------------------


def immediate(db: Path) -> None:
    """Take the write lock first, then read the counter, then write the value plus one."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        (value,) = connection.execute(READ).fetchone()
        connection.execute(WRITE, (value + 1,))
        connection.execute("COMMIT")


def immediate_retry(db: Path) -> None:
    """As `immediate`, but without SQLite's waiting: the program tries again itself, and sleeps longer each time."""
    with closing(sqlite3.connect(db, isolation_level=None, timeout=0)) as connection:
        _until_unlocked(connection, "BEGIN IMMEDIATE", first_delay=0.005)
        (value,) = connection.execute(READ).fetchone()
        connection.execute(WRITE, (value + 1,))
        _until_unlocked(connection, "COMMIT", first_delay=0.005)


def immediate_spin(db: Path) -> None:
    """As `immediate_retry`, without a pause between two tries."""
    with closing(sqlite3.connect(db, isolation_level=None, timeout=0)) as connection:
        _until_unlocked(connection, "BEGIN IMMEDIATE", first_delay=None)
        (value,) = connection.execute(READ).fetchone()
        connection.execute(WRITE, (value + 1,))
        _until_unlocked(connection, "COMMIT", first_delay=None)


def _until_unlocked(connection: sqlite3.Connection, statement: str, *, first_delay: float | None) -> None:
    """Try until the lock is free. COMMIT needs it too: another's BEGIN holds a shared lock for a moment."""
    delay = first_delay
    while True:
        try:
            connection.execute(statement)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
        else:
            return
        if delay is not None:
            time.sleep(delay)
            delay = min(delay * 2, 0.1)


def two_transactions(db: Path) -> None:
    """Read in one transaction, write in the next: the value read may be out of date by then."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        (value,) = connection.execute(READ).fetchone()
        connection.execute("COMMIT")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(WRITE, (value + 1,))
        connection.execute("COMMIT")


def deferred_upgrade(db: Path) -> None:
    """Begin as a reader and become a writer half-way: if two do so, SQLite must refuse one of them at once."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        (value,) = connection.execute(READ).fetchone()
        connection.execute(WRITE, (value + 1,))
        connection.execute("COMMIT")


def autocommit_rmw(db: Path) -> None:
    """Run each statement as its own transaction, and compute the sum in Python between two of them."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        (value,) = connection.execute(READ).fetchone()
        connection.execute(WRITE, (value + 1,))


def implicit_rmw(db: Path) -> None:
    """Use implicit transactions: `sqlite3` opens one before the UPDATE, so only after the SELECT."""
    with closing(sqlite3.connect(db)) as connection:
        (value,) = connection.execute(READ).fetchone()
        connection.execute(WRITE, (value + 1,))
        connection.commit()


async def aiosqlite_rmw(db: Path) -> None:
    """As `implicit_rmw`, on aiosqlite."""
    async with aiosqlite.connect(db) as connection:
        async with connection.execute(READ) as cursor:
            row = await cursor.fetchone()
        assert row is not None
        await connection.execute(WRITE, (row[0] + 1,))
        await connection.commit()


def one_update(db: Path) -> None:
    """Add one in a single statement, three times."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        for _ in range(3):
            connection.execute(ADD_ONE)


def killed_holding_the_lock(db: Path, index: int) -> None:
    """Worker 0 is killed inside its transaction, which must leave no change; worker 1 adds one as always."""
    if index == 1:
        return immediate(db)
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        (value,) = connection.execute(READ).fetchone()
        connection.execute(WRITE, (value + 1,))
        os.kill(os.getpid(), signal.SIGKILL)
        connection.execute("COMMIT")


def killed_between_two_writes(db: Path, index: int) -> None:
    """Move 1 from a to b in two separate transactions; worker 0 is killed between them."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("UPDATE account SET balance = balance - 1 WHERE name = 'a'")
        if index == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        connection.execute("UPDATE account SET balance = balance + 1 WHERE name = 'b'")


# -- the list ----------------------------------------------------------------------------------------------


def programs(journal: Journal) -> tuple[Program, ...]:
    """Return every program, with its database in this journal mode."""
    counter = partial(set_up_counter, journal=journal)
    two, six, one = (partial(counter_is, number) for number in (2, 6, 1))

    def counting(name: str, worker: Callable[..., Any], expected: Expected, **more: Any) -> Program:
        invariant = more.pop("invariant", two)
        return Program(name, journal, _story(worker), counter, worker, invariant, expected, **more)

    return (
        counting("immediate", immediate, "valid"),
        counting("immediate-retry", immediate_retry, "valid"),
        counting("immediate-spin", immediate_spin, "valid"),
        counting("two-transactions", two_transactions, "invalid"),
        counting("deferred-upgrade", deferred_upgrade, "invalid"),
        counting("autocommit-rmw", autocommit_rmw, "invalid"),
        counting("implicit-rmw", implicit_rmw, "invalid"),
        counting("aiosqlite-rmw", aiosqlite_rmw, "invalid", is_async=True),
        counting("one-update", one_update, "valid", invariant=six),
        counting("killed", killed_holding_the_lock, "valid", invariant=one, indexed=True),
        Program(
            "killed-half-moved",
            journal,
            _story(killed_between_two_writes),
            partial(set_up_accounts, journal=journal),
            killed_between_two_writes,
            money_is_conserved,
            "invalid",
            indexed=True,
        ),
    )


def program(name: str, journal: str) -> Program:
    """Return the program of that name; raise `KeyError` with a list of the names if there is none."""
    found = {(each.name, each.journal): each for mode in JOURNALS for each in programs(mode)}
    if (name, journal) not in found:
        names = ", ".join(each.name for each in programs("delete"))
        raise KeyError(f"no program {name!r} with journal {journal!r}; there are {names}, in {JOURNALS}")
    return found[name, journal]  # type: ignore[index]  # just looked up


def _story(worker: Callable[..., Any]) -> str:
    return " ".join((worker.__doc__ or "").split())
