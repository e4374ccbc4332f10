"""Races with the clock: a lease that was valid when it was checked ends while its owner is held up."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.db_races.race import Race, Task, asks, autocommit, mixed, one, transaction

LEASE = (
    "CREATE TABLE lease (owner INTEGER, until REAL, epoch INTEGER); INSERT INTO lease VALUES (0, 0, 0);"
    " CREATE TABLE log (owner INTEGER, epoch INTEGER);"
)
LOCK = "CREATE TABLE lock (owner INTEGER, until REAL); CREATE TABLE held (owner INTEGER, until REAL, beside INTEGER);"
LASTS = 2
"""Seconds a lease is good for: far more than the work takes, and less than SQLite waits for a lock (5)."""


def works_under_lease(me: int, *, fenced: bool) -> Task:
    """Return a task that works if it gets the lease."""

    def work(db: Path) -> None:
        """Take a lease by the clock and store the work without a second check: it may have another owner by then."""
        with autocommit(db) as connection:
            now = time.time()
            epoch = one(
                connection,
                "UPDATE lease SET owner = ?, until = ?, epoch = epoch + 1 WHERE until <= ? RETURNING epoch",
                *(me, now + LASTS, now),
            )
            if epoch is None:
                return
            where = f" WHERE (SELECT epoch FROM lease) = {epoch}" if fenced else ""
            connection.execute(f"INSERT INTO log SELECT ?, ?{where}", (me, epoch))

    return work


def locks_for_a_while(me: int, *, own: bool) -> Task:
    """Return a task that holds a lock which others may take over when its time is up."""

    def hold(db: Path) -> None:
        """Release a lock that may be another's by now: a late owner deletes its successor's, and a third task gets in."""
        with transaction(db) as connection:
            now = time.time()
            if (one(connection, "SELECT max(until) FROM lock") or 0) > now:
                return
            connection.execute("DELETE FROM lock")
            connection.execute("INSERT INTO lock VALUES (?, ?)", (me, now + LASTS))
            others = one(connection, "SELECT count(*) FROM held WHERE until > ?", now)
            connection.execute("INSERT INTO held VALUES (?, ?, ?)", (me, now + LASTS, others))
        with transaction(db) as connection:
            connection.execute(f"DELETE FROM lock{f' WHERE owner = {me}' if own else ''}")
            connection.execute("UPDATE held SET until = 0 WHERE owner = ?", (me,))

    return hold


RACES: tuple[Race, ...] = (
    mixed(
        "lease-by-the-clock",
        LEASE,
        tuple(works_under_lease(me, fenced=False) for me in (1, 2)),
        tuple(works_under_lease(me, fenced=True) for me in (1, 2)),
        asks("SELECT count(*) FROM log JOIN log AS later ON later.rowid > log.rowid AND later.epoch < log.epoch", 0),
        jumps=(LASTS + 1,),
    ),
    mixed(
        "lock-of-another-let-go",
        LOCK,
        tuple(locks_for_a_while(me, own=False) for me in (1, 2, 3)),
        tuple(locks_for_a_while(me, own=True) for me in (1, 2, 3)),
        asks("SELECT coalesce(sum(beside), 0) FROM held", 0),
        jumps=(LASTS + 1,),
    ),
)
