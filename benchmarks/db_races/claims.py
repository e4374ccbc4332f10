"""Races for work that exactly one worker must do: queues, leases, leaders, caches."""

from __future__ import annotations

from pathlib import Path

from benchmarks.db_races.race import Race, Task, asks, autocommit, mixed, one, race, transaction

JOBS = (
    "CREATE TABLE job (id INTEGER PRIMARY KEY, state TEXT); INSERT INTO job VALUES (1, 'new'), (2, 'new');"
    " CREATE TABLE run (job INTEGER);"
)
OUTBOX = (
    "CREATE TABLE outbox (id INTEGER PRIMARY KEY, sent INTEGER);"
    " INSERT INTO outbox VALUES (1, 0);"
    " CREATE TABLE mail (id INTEGER);"
)
LEASE = (
    "CREATE TABLE lease (owner INTEGER, until INTEGER);"
    " INSERT INTO lease VALUES (1, 5);"
    " CREATE TABLE log (owner INTEGER, epoch INTEGER);"
)
LEADER = (
    "CREATE TABLE leader (epoch INTEGER, owner TEXT);"
    " INSERT INTO leader VALUES (0, '');"
    " CREATE TABLE elected (epoch INTEGER, owner TEXT);"
)
CACHE = "CREATE TABLE truth (v INTEGER); INSERT INTO truth VALUES (1); CREATE TABLE cache (v INTEGER);"
BARRIER = "CREATE TABLE part (n INTEGER); INSERT INTO part VALUES (0); CREATE TABLE whole (n INTEGER);"


def claims(db: Path) -> None:
    """Take a job from the queue: select one, then mark it."""
    with autocommit(db) as connection:
        job = one(connection, "SELECT id FROM job WHERE state = 'new' ORDER BY id LIMIT 1")
        if job is not None:
            connection.execute("UPDATE job SET state = 'taken' WHERE id = ?", (job,))
            connection.execute("INSERT INTO run VALUES (?)", (job,))


def claims_atomically(db: Path) -> None:
    """Select and mark in one statement."""
    with autocommit(db) as connection:
        job = one(
            connection,
            "UPDATE job SET state = 'taken' WHERE id = (SELECT id FROM job WHERE state = 'new' LIMIT 1) RETURNING id",
        )
        if job is not None:
            connection.execute("INSERT INTO run VALUES (?)", (job,))


def sends(db: Path) -> None:
    """Send the messages in the outbox, then mark them as sent: two senders both find the same ones."""
    with autocommit(db) as connection:
        for (message,) in connection.execute("SELECT id FROM outbox WHERE NOT sent").fetchall():
            connection.execute("INSERT INTO mail VALUES (?)", (message,))
            connection.execute("UPDATE outbox SET sent = 1 WHERE id = ?", (message,))


def sends_once(db: Path) -> None:
    """Claim messages by marking them, and send the claimed ones, in one transaction."""
    with transaction(db) as connection:
        for (message,) in connection.execute("UPDATE outbox SET sent = 1 WHERE NOT sent RETURNING id").fetchall():
            connection.execute("INSERT INTO mail VALUES (?)", (message,))


def renews(*, fenced: bool) -> Task:
    """Return a task of a lease's first owner, which may have lost the lease."""

    def renew(db: Path) -> None:
        """Work under a lease that was checked once: it may pass to another owner before the work is stored."""
        with autocommit(db) as connection:
            if one(connection, "SELECT owner FROM lease") != 1:
                return
            if fenced:
                connection.execute("INSERT INTO log SELECT 1, 1 WHERE (SELECT owner FROM lease) = 1")
            else:
                connection.execute("INSERT INTO log VALUES (1, 1)")

    return renew


def takes_over(db: Path) -> None:
    """Take the lease over and work."""
    with transaction(db) as connection:
        connection.execute("UPDATE lease SET owner = 2")
        connection.execute("INSERT INTO log VALUES (2, 2)")


def elects(name: str, *, compared: bool) -> Task:
    """Return a task that tries to become the leader."""

    def elect(db: Path) -> None:
        """Become leader of the next epoch, which two tasks can compute at once."""
        with autocommit(db) as connection:
            epoch = one(connection, "SELECT epoch FROM leader")
            where = f" WHERE epoch = {epoch}" if compared else ""
            done = connection.execute(f"UPDATE leader SET epoch = ?, owner = ?{where}", (epoch + 1, name))
            if done.rowcount:
                connection.execute("INSERT INTO elected VALUES (?, ?)", (epoch + 1, name))

    return elect


def changes(db: Path) -> None:
    """Change the truth, then drop the cached value."""
    with autocommit(db) as connection:
        connection.execute("UPDATE truth SET v = 2")
        connection.execute("DELETE FROM cache")


def fills(db: Path) -> None:
    """Fill a cache with a value that was read before another task changed it and dropped the cache."""
    with autocommit(db) as connection:
        connection.execute("INSERT INTO cache VALUES (?)", (one(connection, "SELECT v FROM truth"),))


def fills_at_once(db: Path) -> None:
    """Read and fill in one statement."""
    with autocommit(db) as connection:
        connection.execute("INSERT INTO cache SELECT v FROM truth")


def finishes_part(db: Path) -> None:
    """Count this part as done, and complete the whole if it was the last: two tasks may both see that."""
    with autocommit(db) as connection:
        connection.execute("UPDATE part SET n = n + 1")
        if one(connection, "SELECT n FROM part") == 2:
            connection.execute("INSERT INTO whole VALUES (1)")


def finishes_part_at_once(db: Path) -> None:
    """Count and read the count in one statement."""
    with autocommit(db) as connection:
        if one(connection, "UPDATE part SET n = n + 1 RETURNING n") == 2:
            connection.execute("INSERT INTO whole VALUES (1)")


RACES: tuple[Race, ...] = (
    race("queue-claim", JOBS, claims, claims_atomically, asks("SELECT count(*) - count(DISTINCT job) FROM run", 0)),
    race("outbox", OUTBOX, sends, sends_once, asks("SELECT count(*) FROM mail", 1)),
    mixed(
        "lease-without-fence",
        LEASE,
        (renews(fenced=False), takes_over),
        (renews(fenced=True), takes_over),
        asks(
            "SELECT coalesce(max(later.rowid > log.rowid), 0) FROM log JOIN log AS later ON later.epoch < log.epoch", 0
        ),
    ),
    mixed(
        "two-leaders",
        LEADER,
        (elects("a", compared=False), elects("b", compared=False)),
        (elects("a", compared=True), elects("b", compared=True)),
        asks("SELECT count(*) - count(DISTINCT epoch) FROM elected", 0),
    ),
    mixed(
        "stale-cache",
        CACHE,
        (fills, changes),
        (fills_at_once, changes),
        asks("SELECT count(*) FROM cache WHERE v <> 2", 0),
    ),
    race("last-one-completes", BARRIER, finishes_part, finishes_part_at_once, asks("SELECT count(*) FROM whole", 1)),
)
