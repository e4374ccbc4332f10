"""The tables that the open connections of a worker see, shown while the schedule stands still."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from harness.boundary import messages
from harness.boundary.wire import Message
from harness.worker.instrument.sqlite.cursors import real_cursor
from harness.worker.instrument.sqlite.databases import Databases, Watched

__all__ = ["visible_tables"]

_ROWS = 50
"""The most rows of a table that are shown."""


def visible_tables(databases: Databases, text: Callable[[Any], str]) -> Iterator[Message]:
    """Yield news ``table`` for each table that an open connection sees, with the *text* of its cells."""
    for number, connection in enumerate(databases.still_open(), start=1):
        label = f"connection {number} to {connection.files[0] if connection.files else '?'}"
        if connection.running:
            yield messages.table(label, "it waits inside SQLite", [], [])
            continue
        # It must not wait for a lock now: nobody else can go on meanwhile.
        databases.native.watch(connection.handle, False)
        try:
            yield from _of_connection(connection, label, text)
        except sqlite3.Error as error:
            yield messages.table(label, f"it can't be read now: {error}", [], [])
        finally:
            databases.watch(connection)


def _of_connection(connection: Watched, label: str, text: Callable[[Any], str]) -> Iterator[Message]:
    cursor = real_cursor(connection)
    names = cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    for (name,) in names:
        quoted = '"' + str(name).replace('"', '""') + '"'
        cursor = real_cursor(connection)
        rows = cursor.execute(f"SELECT * FROM {quoted} LIMIT {_ROWS}").fetchall()
        columns = [str(column[0]) for column in cursor.description]
        yield messages.table(label, str(name), columns, [[text(cell) for cell in row] for row in rows])
