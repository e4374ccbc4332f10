"""Races for one row, or for a row that should exist once: lost updates and outdated checks."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.db_races.race import Race, asks, autocommit, one, race, transaction

COUNTER = "CREATE TABLE counter (n INTEGER); INSERT INTO counter VALUES (0);"
NAMES = "CREATE TABLE names (name TEXT);"
DOCUMENT = "CREATE TABLE document (body TEXT, version INTEGER); INSERT INTO document VALUES ('[]', 1);"
LIST = "CREATE TABLE list (position INTEGER);"
SETTINGS = "CREATE TABLE settings (key TEXT, value TEXT, UNIQUE (key));"


def read_then_write(db: Path) -> None:
    """Read a value in one statement, and write it plus one in the next."""
    with autocommit(db) as connection:
        connection.execute("UPDATE counter SET n = ?", (one(connection, "SELECT n FROM counter") + 1,))


def add_in_place(db: Path) -> None:
    """Let the database add."""
    with autocommit(db) as connection:
        connection.execute("UPDATE counter SET n = n + 1")


def read_then_write_twice(db: Path) -> None:
    """Read and then write, twice over: of three workers, any two may lose an update."""
    for _ in range(2):
        read_then_write(db)


def add_in_place_twice(db: Path) -> None:
    """Let the database add, twice."""
    for _ in range(2):
        add_in_place(db)


def check_then_insert(db: Path) -> None:
    """Insert a name unless it is there, in two statements."""
    with autocommit(db) as connection:
        if one(connection, "SELECT 1 FROM names WHERE name = 'ada'") is None:
            connection.execute("INSERT INTO names VALUES ('ada')")


def insert_where_not_there(db: Path) -> None:
    """Check and insert in one statement."""
    with autocommit(db) as connection:
        connection.execute("INSERT INTO names SELECT 'ada' WHERE NOT EXISTS (SELECT 1 FROM names WHERE name = 'ada')")


def append_to_document(db: Path) -> None:
    """Append to a JSON document in Python, and store it without checking its version."""
    with autocommit(db) as connection:
        body = json.loads(one(connection, "SELECT body FROM document"))
        connection.execute("UPDATE document SET body = ?, version = version + 1", (json.dumps([*body, "x"]),))


def append_by_version(db: Path) -> None:
    """Store the document only over the version that was read, and begin again otherwise."""
    with autocommit(db) as connection:
        while True:
            body, version = connection.execute("SELECT body, version FROM document").fetchone()
            text = json.dumps([*json.loads(body), "x"])
            done = connection.execute(
                "UPDATE document SET body = ?, version = ? WHERE version = ?", (text, version + 1, version)
            )
            if done.rowcount == 1:
                return


def next_position(db: Path) -> None:
    """Assign the next number, which is the largest plus one, in two statements."""
    with autocommit(db) as connection:
        connection.execute(
            "INSERT INTO list VALUES (?)", (one(connection, "SELECT coalesce(max(position), 0) FROM list") + 1,)
        )


def next_position_at_once(db: Path) -> None:
    """Assign the largest number plus one, in one statement."""
    with autocommit(db) as connection:
        connection.execute("INSERT INTO list SELECT coalesce(max(position), 0) + 1 FROM list")


def update_or_insert(db: Path) -> None:
    """Update, and insert where nothing was updated: two tasks may both find nothing to update."""
    with autocommit(db) as connection:
        if connection.execute("UPDATE settings SET value = 'v' WHERE key = 'k'").rowcount == 0:
            connection.execute("INSERT INTO settings VALUES ('k', 'v')")


def upsert(db: Path) -> None:
    """Update or insert in one statement."""
    with autocommit(db) as connection:
        connection.execute("INSERT INTO settings VALUES ('k', 'v') ON CONFLICT (key) DO UPDATE SET value = 'v'")


def count_then_insert(db: Path) -> None:
    """Keep at most two rows by counting first and inserting afterwards."""
    with autocommit(db) as connection:
        if one(connection, "SELECT count(*) FROM list") < 2:
            connection.execute("INSERT INTO list VALUES (1)")


def count_while_locked(db: Path) -> None:
    """Count and insert under one write lock."""
    with transaction(db) as connection:
        if one(connection, "SELECT count(*) FROM list") < 2:
            connection.execute("INSERT INTO list VALUES (1)")


RACES: tuple[Race, ...] = (
    race("lost-update", COUNTER, read_then_write, add_in_place, asks("SELECT n FROM counter", 2)),
    race("lost-update-of-three", COUNTER, read_then_write, add_in_place, asks("SELECT n FROM counter", 3), times=3),
    race(
        "lost-update-twice",
        COUNTER,
        read_then_write_twice,
        add_in_place_twice,
        asks("SELECT n FROM counter", 6),
        times=3,
    ),
    race("check-then-insert", NAMES, check_then_insert, insert_where_not_there, asks("SELECT count(*) FROM names", 1)),
    race(
        "document-without-version",
        DOCUMENT,
        append_to_document,
        append_by_version,
        asks("SELECT json_array_length(body) FROM document", 2),
    ),
    race(
        "next-number",
        LIST,
        next_position,
        next_position_at_once,
        asks("SELECT count(*) - count(DISTINCT position) FROM list", 0),
    ),
    race("update-or-insert", SETTINGS, update_or_insert, upsert, asks("SELECT count(*) FROM settings", 1)),
    race("at-most-two", LIST, count_then_insert, count_while_locked, asks("SELECT count(*) FROM list", 2), times=3),
)
