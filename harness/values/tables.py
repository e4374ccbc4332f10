"""The rows of database tables before and after a step that changed them, as values, no bigger than a report can show."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["MOST_ROWS", "Changed", "Row", "Tables", "TablesAt", "compare", "read_rows", "read_tables", "rows_in"]

MOST_ROWS = 50
"""So many rows of a table are kept before a step, and so many after it: those that changed first."""
_READ_ROWS = 5_000
"""So many are looked at; what changes beyond them is not seen, and the report says so."""
_CELL, _BYTES = 200, 32
_DOTS = "..."
_NAMES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
_KEYS = "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk"

Cell = str | int | float | bytes | None
Redact = Callable[[str], str]


class _Content(NamedTuple):
    """One table: its columns, its first rows by their keys, and its total number of rows."""

    columns: tuple[str, ...]
    rows: Mapping[tuple[object, ...], tuple[Cell, ...]]
    total: int


Tables = Mapping[tuple[str, str], _Content]
"""The tables of every database file, by the file's name and the table's."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it is shown: its cells, None for NULL; ``changed`` are the positions of those that the step changed.

    A row that only one side has is ``lone``: deleted if it was before, inserted if it is after.
    """

    cells: tuple[str | None, ...]
    changed: tuple[int, ...] = ()
    lone: bool = False


@dataclass(frozen=True, slots=True)
class Changed:
    """A table that a step changed.

    ``before`` and ``after`` are None where there was no such table. ``rows_before`` and ``rows_after`` count all rows,
    ``partial`` says that not all of them were compared.
    """

    file: str
    table: str
    columns: tuple[str, ...]
    before: tuple[Row, ...] | None
    after: tuple[Row, ...] | None
    rows_before: int
    rows_after: int
    partial: bool = False


@dataclass(frozen=True, slots=True)
class TablesAt:
    """The tables that step number ``step`` changed by a commit."""

    step: int
    tables: tuple[Changed, ...]


# --- reading --------------------------------------------------------------------------------------


def rows_in(path: Path) -> int | None:
    """Return a digest of all that is in the SQLite database *path*, numbers of rows included; None if it can't be read."""
    found: list[object] = []
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.text_factory = bytes
            found += (connection.execute(f"PRAGMA {name}").fetchone() for name in ("user_version", "journal_mode"))
            made = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
            found += made
            for kind, name, sql in made:
                if kind == b"table" and not (sql or b"").upper().startswith(b"CREATE VIRTUAL"):
                    found += _every_row(connection, name.decode())
    except (sqlite3.Error, UnicodeDecodeError):
        return None
    return hash(tuple(found))


def _every_row(connection: sqlite3.Connection, table: str) -> Iterator[object]:
    quoted = table.replace('"', '""')
    try:
        yield from connection.execute(f'SELECT rowid, * FROM "{quoted}"')
    except sqlite3.OperationalError:
        # It has none.
        yield from connection.execute(f'SELECT * FROM "{quoted}"')


def read_tables(files: Mapping[str, Path]) -> Tables:
    """Return the tables in the SQLite databases *files*, by the name to show; databases that can't be read are left out."""
    found: dict[tuple[str, str], _Content] = {}
    for name, path in files.items():
        try:
            with closing(sqlite3.connect(path)) as connection:
                connection.text_factory = _text
                found.update(((name, table), content) for table, content in _tables(connection))
        except sqlite3.Error:
            continue
    return found


def read_rows(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> _Content:
    """Return the content of a table of which all *rows* are known; those of the columns *keys* tell them apart."""
    columns = tuple(rows[0]) if rows else ()
    cells = [tuple(_plain(row[column]) for column in columns) for row in rows]
    positions = [columns.index(key) for key in keys] if columns else []
    named: dict[tuple[object, ...], tuple[Cell, ...]] = {
        (tuple(row[position] for position in positions) if positions else (number, row)): row
        for number, row in enumerate(cells[:_READ_ROWS])
    }
    return _Content(columns, named, len(rows))


def _plain(value: Any) -> Cell:
    return value if value is None or isinstance(value, (str, int, float)) else json.dumps(value)


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _tables(connection: sqlite3.Connection) -> Iterator[tuple[str, _Content]]:
    for (name,) in connection.execute(_NAMES).fetchall():
        try:
            yield name, _content(connection, name)
        except sqlite3.Error:
            # A virtual table of a module that is not here: nobody can read it.
            continue


def _content(connection: sqlite3.Connection, name: str) -> _Content:
    table = _quoted(name)
    keys = [_quoted(key) for (key,) in connection.execute(_KEYS, (name,))] or ["rowid"]
    cursor = connection.execute(f"SELECT {', '.join(keys)}, * FROM {table} ORDER BY {', '.join(keys)}")
    columns = tuple(column[0] for column in cursor.description[len(keys) :])
    rows: dict[tuple[object, ...], tuple[Cell, ...]] = {}
    seen: Counter[tuple[object, ...]] = Counter()
    for row in cursor.fetchmany(_READ_ROWS):
        key = row[: len(keys)]
        # A primary key may be NULL more than once.
        seen[key] += 1
        rows[(*key, seen[key])] = row[len(keys) :]
    (total,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return _Content(columns, rows, total)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


# --- comparing ------------------------------------------------------------------------------------


def compare(before: Tables, after: Tables, redact: Redact = str) -> tuple[Changed, ...]:
    """Return the tables that differ, every text in them passed through *redact* before it is cut."""
    return tuple(
        _changed(key, before.get(key), after.get(key), redact=redact)
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    )


def _changed(key: tuple[str, str], before: _Content | None, after: _Content | None, *, redact: Redact) -> Changed:
    columns = (after or before or _NOTHING).columns
    was, now = before or _NOTHING, after or _NOTHING
    # Cells of tables with other columns are not the same cells.
    same = was.columns == now.columns
    return Changed(
        file=key[0],
        table=key[1],
        columns=columns,
        before=None if before is None else _rows(was, now if same else _NOTHING, redact),
        after=None if after is None else _rows(now, was if same else _NOTHING, redact),
        rows_before=was.total,
        rows_after=now.total,
        partial=max(was.total, now.total) > _READ_ROWS,
    )


_NOTHING = _Content((), {}, 0)


def _rows(these: _Content, others: _Content, redact: Redact) -> tuple[Row, ...]:
    """Return the rows of one side in their order, at most ``MOST_ROWS``, those that the other side has not first."""
    rows = [(cells, others.rows.get(key)) for key, cells in these.rows.items()]
    differing = [place for place, (cells, other) in enumerate(rows) if cells != other]
    chosen = set(differing[:MOST_ROWS])
    for place in range(len(rows)):
        if len(chosen) >= MOST_ROWS:
            break
        chosen.add(place)
    return tuple(_row(*rows[place], redact) for place in sorted(chosen))


def _row(cells: Sequence[Cell], other: Sequence[Cell] | None, redact: Redact) -> Row:
    shown = tuple(_cell(cell, redact) for cell in cells)
    if other is None:
        return Row(shown, lone=True)
    pairs = enumerate(zip(cells, other, strict=True))
    return Row(shown, tuple(place for place, (this, that) in pairs if this != that))


def _cell(cell: Cell, redact: Redact) -> str | None:
    if cell is None:
        return None
    if isinstance(cell, bytes):
        text = _text(cell)
        # A secret in a BLOB is as secret as one in a text.
        if (hidden := redact(text)) != text:
            return _cut(hidden)
        more = f"{_DOTS} ({len(cell)} bytes)" if len(cell) > _BYTES else ""
        return redact(f"x'{cell[:_BYTES].hex()}'") + more
    return _cut(redact(str(cell)))


def _cut(text: str) -> str:
    return text if len(text) <= _CELL else text[: _CELL - len(_DOTS)] + _DOTS
