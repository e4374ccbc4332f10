"""Races with a kill between two changes that belong together. Every task stands for a request and its retry."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from benchmarks.db_races.race import Race, Task, asks, autocommit, one, race, transaction, within

MOVES = (
    "CREATE TABLE account (name TEXT PRIMARY KEY, balance INTEGER); INSERT INTO account VALUES ('a', 10), ('b', 10);"
)
INTENT = "CREATE TABLE done (key TEXT PRIMARY KEY); CREATE TABLE effect (n INTEGER);"
OFFSET = (
    "CREATE TABLE message (id INTEGER); INSERT INTO message VALUES (1);"
    " CREATE TABLE consumer (seen INTEGER); INSERT INTO consumer VALUES (0); CREATE TABLE effect (message INTEGER);"
)
LOCK = "CREATE TABLE lock (held INTEGER); INSERT INTO lock VALUES (0); CREATE TABLE work (n INTEGER);"


def moves_in_two(db: Path) -> None:
    """Make two changes that belong together in two commits: a kill between them leaves half."""
    with autocommit(db) as connection:
        connection.execute("UPDATE account SET balance = balance - 1 WHERE name = 'a'")
        connection.execute("UPDATE account SET balance = balance + 1 WHERE name = 'b'")


def moves_in_one(db: Path) -> None:
    """Make both changes in one commit."""
    with transaction(db) as connection:
        connection.execute("UPDATE account SET balance = balance - 1 WHERE name = 'a'")
        connection.execute("UPDATE account SET balance = balance + 1 WHERE name = 'b'")


def notes_first(db: Path) -> None:
    """Note that the work is done before doing it: a crash in between leaves it undone for ever."""
    with autocommit(db) as connection:
        if connection.execute("INSERT OR IGNORE INTO done VALUES ('k')").rowcount:
            connection.execute("INSERT INTO effect VALUES (1)")


def notes_with(db: Path) -> None:
    """Note that the work is done in the transaction that does it."""
    with transaction(db) as connection:
        if connection.execute("INSERT OR IGNORE INTO done VALUES ('k')").rowcount:
            connection.execute("INSERT INTO effect VALUES (1)")


def locks_by_row(db: Path) -> None:
    """Use a row as a lock: a process that is killed while it holds the lock blocks all others for ever."""
    with autocommit(db) as connection:
        if connection.execute("UPDATE lock SET held = 1 WHERE NOT held").rowcount:
            connection.execute("INSERT INTO work VALUES (1)")
            connection.execute("UPDATE lock SET held = 0")


def locks_by_transaction(db: Path) -> None:
    """Use a lock that ends with its process."""
    with transaction(db) as connection:
        connection.execute("INSERT INTO work VALUES (1)")


def consumes(*, whole: bool) -> Task:
    """Return a task that consumes messages while it holds a lock that ends with its process."""

    def consume(db: Path) -> None:
        """Store the position after the effect: if the consumer is killed in between, its successor repeats the effect."""
        with transaction(db.with_name("consumer.db"), "BEGIN EXCLUSIVE"), autocommit(db) as connection:
            if whole:
                with within(connection):
                    consume_all(connection)
            else:
                consume_all(connection)

    return consume


def consume_all(connection: sqlite3.Connection) -> None:
    """Consume each message that is newer than the stored position."""
    seen = one(connection, "SELECT seen FROM consumer")
    for (message,) in connection.execute("SELECT id FROM message WHERE id > ?", (seen,)).fetchall():
        connection.execute("INSERT INTO effect VALUES (?)", (message,))
        connection.execute("UPDATE consumer SET seen = ?", (message,))


RACES: tuple[Race, ...] = (
    race("half-moved", MOVES, moves_in_two, moves_in_one, asks("SELECT sum(balance) FROM account", 20), kills=1),
    race(
        "noted-and-not-done",
        INTENT,
        notes_first,
        notes_with,
        lambda c: one(c, "SELECT count(*) FROM done") == one(c, "SELECT count(*) FROM effect"),
        kills=1,
    ),
    race(
        "seen-stored-late",
        OFFSET,
        consumes(whole=False),
        consumes(whole=True),
        asks("SELECT count(*) - count(DISTINCT message) FROM effect", 0),
        kills=1,
    ),
    race("lock-left-behind", LOCK, locks_by_row, locks_by_transaction, asks("SELECT held FROM lock", 0), kills=1),
)
