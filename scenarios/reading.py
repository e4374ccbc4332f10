"""Queries by which rules read the database, a SQLite file or a PostgreSQL URL."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from harness.scenario import is_url

__all__ = ["rows"]

_connections: dict[str, Any] = {}
"""One connection for each URL: to open one takes PostgreSQL longer than to answer."""


def rows(db: Path | str, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Return the rows that *sql*, with ``?`` for each parameter, selects from the database at *db*, a file or a URL."""
    if is_url(str(db)):
        return _rows_at(str(db), sql.replace("?", "%s"), parameters)
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(sql, parameters).fetchall()


def _rows_at(url: str, sql: str, parameters: tuple[object, ...]) -> list[tuple[Any, ...]]:
    import psycopg

    try:
        return _connected(url).execute(sql.encode(), parameters).fetchall()  # type: ignore[no-any-return]
    except psycopg.OperationalError:
        # The database was made anew meanwhile.
        del _connections[url]
        return _connected(url).execute(sql.encode(), parameters).fetchall()  # type: ignore[no-any-return]


def _connected(url: str) -> Any:
    import psycopg

    if url not in _connections:
        _connections[url] = psycopg.connect(url, autocommit=True)
    return _connections[url]
