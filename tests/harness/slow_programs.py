"""Programs in which it matters whether a process is slow: one sleeps or waits for a time, another may be held up meanwhile."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

ADD = "UPDATE t SET n = n + 1 WHERE k = 1"


def connect(db: Path) -> Any:
    """Return a connection in autocommit, to be closed by ``with``."""
    return closing(sqlite3.connect(db, isolation_level=None))


def _read(connection: sqlite3.Connection) -> int:
    found: int = connection.execute("SELECT n FROM t WHERE k = 1").fetchone()[0]
    return found


def adds(db: Path) -> None:
    """Add in one statement."""
    with connect(db) as connection:
        connection.execute(ADD)


def sleeps_then_adds(db: Path) -> None:
    """Sleep, then read and write in two statements."""
    with connect(db) as connection:
        time.sleep(0.05)
        found = _read(connection)
        connection.execute("UPDATE t SET n = ? WHERE k = 1", (found + 1,))


def reads_then_writes(db: Path) -> None:
    """Read, and write what was read plus one."""
    with connect(db) as connection:
        found = _read(connection)
        connection.execute("UPDATE t SET n = ? WHERE k = 1", (found + 1,))


def sleeps_between(db: Path) -> None:
    """Read, sleep, and write the sum."""
    with connect(db) as connection:
        found = _read(connection)
        time.sleep(0.05)
        connection.execute("UPDATE t SET n = ? WHERE k = 1", (found + 1,))


def adds_twice(db: Path) -> None:
    """Add, sleep longer, add again in one statement each."""
    with connect(db) as connection:
        connection.execute(ADD)
        time.sleep(0.2)
        connection.execute(ADD)


def looks_at_the_clock(db: Path) -> None:
    """Write down when it is, twice."""
    with connect(db) as connection:
        began = time.monotonic()
        connection.execute(ADD)
        connection.execute("UPDATE t SET n = ? WHERE k = 2", (round(time.monotonic() - began, 2) * 100,))


def sleeps_only(_: Path) -> None:
    """Sleep twice, and touch nothing."""
    time.sleep(0.05)
    time.sleep(0.05)


async def sleeps_async(db: Path) -> None:
    """Sleep in a loop, then add what was read before."""
    with connect(db) as connection:
        found = _read(connection)
        await asyncio.sleep(0.05)
        connection.execute("UPDATE t SET n = ? WHERE k = 1", (found + 1,))


async def gives_up(db: Path) -> None:
    """Wait for an event that its own task sets after a statement, but not for ever; note which it was."""
    event = asyncio.Event()

    async def works() -> None:
        with connect(db) as connection:
            await asyncio.sleep(0.01)
            connection.execute(ADD)
            event.set()

    task = asyncio.create_task(works())
    try:
        await asyncio.wait_for(event.wait(), 0.03)
    except TimeoutError:
        with connect(db) as connection:
            connection.execute("UPDATE t SET n = n + 10 WHERE k = 2")
    await task


async def gives_itself_a_time(db: Path) -> None:
    """Add within a second, or fail: right, unless a process that is held up counts as having taken so long."""
    async with asyncio.timeout(1):
        await asyncio.to_thread(adds, db)


async def keeps_a_heartbeat(db: Path) -> None:
    """Add in two statements, while a task of its own would write each second."""

    async def beats() -> None:
        while True:
            await asyncio.sleep(1)
            with connect(db) as connection:
                connection.execute("UPDATE t SET n = n + 10 WHERE k = 2")

    task = asyncio.create_task(beats())
    for _ in range(2):
        await asyncio.to_thread(adds, db)
    task.cancel()


def waits_for_a_thread(db: Path) -> None:
    """Wait for a thread of its own for a time only; note whether that was enough."""

    def works() -> None:
        with connect(db) as connection:
            connection.execute(ADD)

    thread = threading.Thread(target=works)
    thread.start()
    thread.join(0.1)
    if thread.is_alive():
        with connect(db) as connection:
            connection.execute("UPDATE t SET n = n + 10 WHERE k = 2")
    thread.join()


def locks_a_file(db: Path) -> None:
    """Take a lock file, or wait for it and ask once more; add only with it."""
    lock = db.with_name("lock")
    for _ in range(2):
        with suppress(FileExistsError), open(lock, "x"):
            break
        time.sleep(0.05)
    else:
        return
    with connect(db) as connection:
        connection.execute(ADD)
    os.unlink(lock)


def adds_then_reads(db: Path) -> None:
    """Add in one statement, and read."""
    with connect(db) as connection:
        connection.execute(ADD)
        _read(connection)


def judges_by_age(db: Path) -> None:
    """Sleep, and note how long ago the database was changed."""
    with connect(db) as connection:
        time.sleep(0.05)
        age = time.time() - os.stat(db).st_mtime
        connection.execute("UPDATE t SET n = ? WHERE k = 2", (round(age, 2) * 100 + 1,))


def judges_by_age_if_first(db: Path) -> None:
    """The same, but only if nothing was added yet: in the first execution of a search nobody looks at the age."""
    with connect(db) as connection:
        if _read(connection) == 0:
            judges_by_age(db)


PAIRS: list[tuple[Callable[[Path], Any], Callable[[Path], Any]]] = [
    (sleeps_then_adds, reads_then_writes),
    (sleeps_between, reads_then_writes),
    (adds_twice, sleeps_then_adds),
    (looks_at_the_clock, sleeps_only),
    (looks_at_the_clock, sleeps_then_adds),
    (locks_a_file, locks_a_file),
    (waits_for_a_thread, reads_then_writes),
    (sleeps_between, sleeps_between),
    (adds_then_reads, judges_by_age),
    (adds_then_reads, judges_by_age_if_first),
]

OF_LOOPS: list[tuple[Callable[[Path], Any], Callable[[Path], Any]]] = [
    (sleeps_async, sleeps_async),
    (gives_up, sleeps_async),
]


# A lock file that is taken from a dead owner, wrongly and rightly; and leases.


def leave_a_dead_lock(db: Path) -> None:
    """Set up a lock whose owner is dead."""
    db.with_name("lock").write_text("dead")


def prepared_and(setup: Callable[[Path], None]) -> Callable[[Path], None]:
    """Return *setup* with a database beside what it makes."""

    def both(db: Path) -> None:
        with connect(db) as connection:
            connection.execute("CREATE TABLE t (k, n)")
        setup(db)

    return both


def breaks_and_takes(db: Path) -> None:
    """Look whose lock it is, and remove it by name if its owner is dead: somebody else's may be there by then."""
    lock = db.with_name("lock")
    while True:
        try:
            with open(lock, "x") as file:
                file.write("alive")
            break
        except FileExistsError:
            with suppress(FileNotFoundError):
                if lock.read_text() == "dead":
                    os.unlink(lock)
            time.sleep(0.05)
    assert lock.read_text() == "alive", "somebody took my lock"
    os.unlink(lock)


def breaks_under_a_lock(db: Path) -> None:
    """The same, but who looks and removes holds a database's lock meanwhile."""
    lock = db.with_name("lock")
    while True:
        try:
            with open(lock, "x") as file:
                file.write("alive")
            break
        except FileExistsError:
            with connect(db) as connection:
                connection.execute("BEGIN IMMEDIATE")
                with suppress(FileNotFoundError):
                    if lock.read_text() == "dead":
                        os.unlink(lock)
                connection.execute("COMMIT")
            time.sleep(0.05)
    assert lock.read_text() == "alive", "somebody took my lock"
    os.unlink(lock)


def set_up_a_lease(db: Path) -> None:
    """Set up a counter and a lease on it that nobody has."""
    with connect(db) as connection:
        connection.execute("CREATE TABLE lease (token INTEGER, until REAL)")
        connection.execute("INSERT INTO lease VALUES (0, 0)")
        connection.execute("CREATE TABLE counter (n INTEGER)")
        connection.execute("INSERT INTO counter VALUES (0)")


def _take(connection: sqlite3.Connection) -> int:
    """Take the lease for a second, waiting until the one before has ended; return its token."""
    while True:
        found = connection.execute(
            "UPDATE lease SET token = token + 1, until = ? WHERE until <= ? RETURNING token",
            (time.time() + 1, time.time()),
        ).fetchall()
        if found:
            token: int = found[0][0]
            return token
        time.sleep(1.5)


def counts_under_a_lease(db: Path) -> None:
    """Read and write under a lease alone: whoever is held up for longer writes over what others wrote."""
    with connect(db) as connection:
        _take(connection)
        found = connection.execute("SELECT n FROM counter").fetchone()[0]
        connection.execute("UPDATE counter SET n = ?", (found + 1,))
        connection.execute("UPDATE lease SET until = 0")


async def counts_under_a_lease_async(db: Path) -> None:
    """The same in a coroutine."""
    with connect(db) as connection:
        while not connection.execute(
            "UPDATE lease SET token = token + 1, until = ? WHERE until <= ? RETURNING token",
            (time.time() + 1, time.time()),
        ).fetchall():
            await asyncio.sleep(1.5)
        found = connection.execute("SELECT n FROM counter").fetchone()[0]
        connection.execute("UPDATE counter SET n = ?", (found + 1,))
        connection.execute("UPDATE lease SET until = 0")


def counts_with_a_fence(db: Path) -> None:
    """The same, but what is written is written only while the token is the newest, else all is done again."""
    with connect(db) as connection:
        while True:
            token = _take(connection)
            found = connection.execute("SELECT n FROM counter").fetchone()[0]
            changed = connection.execute(
                "UPDATE counter SET n = ? WHERE (SELECT token FROM lease) = ?", (found + 1, token)
            ).rowcount
            connection.execute("UPDATE lease SET until = 0 WHERE token = ?", (token,))
            if changed:
                return
