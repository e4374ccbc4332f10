"""The state left by a program: the same digest for executions under control and for real runs."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

__all__ = ["outcome_of", "state_of"]

_SQLITE = b"SQLite format 3\x00"
_OF_A_DATABASE = ("-journal", "-wal", "-shm")


def outcome_of(told: Sequence[Any], folder: Path) -> str:
    """Return the answers *told* to the calls and the content of *folder* as a text. Equal texts are equal outcomes.

    Left out are values that differ in every real run: times and inode numbers of files, and SQLite's layout of rows in
    pages. Its journals are read, not compared: opening a database puts it in order. Nothing else is left out.
    """
    return json.dumps([list(told), list(state_of(folder))], sort_keys=True)


def state_of(folder: Path) -> Iterator[Any]:
    """Yield each file below *folder* by its name with its content, of a database its rows."""
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in (*folders, *files):
            path = Path(root, name)
            if path.is_symlink():
                yield str(path.relative_to(folder)), "->", os.readlink(path)
        for name in folders:
            yield str(Path(root, name).relative_to(folder)), "/"
        for name in sorted(files):
            path = Path(root, name)
            if not path.is_symlink() and not _belongs_to_a_database(path):
                yield str(path.relative_to(folder)), _content(path)


def _belongs_to_a_database(path: Path) -> bool:
    return any(path.name.endswith(end) and path.with_name(path.name[: -len(end)]).exists() for end in _OF_A_DATABASE)


def _content(path: Path) -> Any:
    if not path.is_file():
        return "no plain file"
    with path.open("rb") as file:
        start = file.read(16)
        if start != _SQLITE:
            return (start + file.read()).decode("latin-1")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        try:
            return _rows(connection)
        except sqlite3.DatabaseError as error:
            return f"!{error}"


def _rows(connection: sqlite3.Connection) -> Any:
    found: list[Any] = []
    for name, kind, sql in connection.execute("SELECT name, type, sql FROM sqlite_master ORDER BY name").fetchall():
        found.append([name, sql])
        if kind == "table":
            found.append(sorted((list(row) for row in connection.execute(f'SELECT * FROM "{name}"')), key=repr))
    for pragma in ("user_version", "journal_mode"):
        found.append(connection.execute(f"PRAGMA {pragma}").fetchone()[0])
    return json.loads(json.dumps(found, default=lambda value: f"b:{bytes(value).hex()}"))
