"""Cursors with schedule points at their statements, and at fetches while a lock is held."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

from harness.worker.instrument.sqlite.native import NONE
from harness.worker.instrument.sqlite.statements import parts, shown, statement
from harness.worker.source import Place, where

__all__ = ["Cursor", "RealCursor", "mixed", "real_cursor"]

RealCursor: TypeAlias = sqlite3.Cursor
_Real: TypeAlias = sqlite3.Connection


class Cursor(RealCursor):
    """A cursor with schedule points at its statements, and at fetches that still hold a lock."""

    connection: Any
    _rows: int | None = None

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        """Execute one statement."""
        connection = self.connection
        runtime = connection.databases.runtime
        about = statement(sql)
        self._rows = None
        if not (runtime.controlled or runtime.aborting):
            connection.databases.outside += bool(connection.files)
            result = super().execute(sql, parameters)
        else:
            place = where(2)
            if about.dml:
                connection.begin_if_needed(sql, place)
            run = super().execute
            kind = "rollback" if about.rollback else "sql"
            result = connection.point(kind, sql, shown(parameters), lambda: run(sql, parameters), place)
        if about.special:
            connection.after(about)
        return result

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any:
        """Execute one statement for each of *parameters*: in a transaction at once, else each is one of its own."""
        connection = self.connection
        runtime = connection.databases.runtime
        run = super().executemany
        self._rows = None
        if not (runtime.controlled or runtime.aborting):
            connection.databases.outside += bool(connection.files)
            return run(sql, parameters)
        place = where(2)
        if statement(sql).dml:
            connection.begin_if_needed(sql, place)
        if connection.handle and not connection.in_transaction:
            return self._one_by_one(sql, parameters, run, place)
        rows, given = _taken(parameters)
        return connection.point("sql", sql, f"{len(rows)} rows {shown(rows)}", lambda: run(sql, given), place)

    def _one_by_one(self, sql: str, parameters: Iterable[Any], run: Callable[..., Any], place: Place | None) -> Any:
        connection = self.connection
        count, rows = 0, iter(parameters)
        for row in rows:
            connection.point("sql", sql, shown(row), partial(run, sql, [row]), place)
            count += super().rowcount
            self._rows = count
            if connection.in_transaction:
                # The parameters began it as they were made: what is left of them is one step.
                connection.point("sql", sql, "more rows", partial(run, sql, _taken(rows)[1]), place)
                self._rows = count + super().rowcount
                return self
        if self._rows is None:
            connection.point("sql", sql, "no rows", partial(run, sql, []), place)
        return self

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed, or all of those of ``executemany``."""
        return super().rowcount if self._rows is None else self._rows

    def executescript(self, script: str, /) -> Any:
        """Execute the statements of *script* one by one, after the COMMIT that ``sqlite3`` issues first."""
        connection = self.connection
        runtime = connection.databases.runtime
        if not (runtime.controlled or runtime.aborting) or not connection.files:
            connection.databases.outside += bool(connection.files)
            return super().executescript(script)
        place = where(2)
        if connection.in_transaction:
            connection.point("commit", "COMMIT", "implicit", lambda: _Real.commit(connection), place)
        for text in parts(script):
            connection.point(
                "sql", text, "", partial(connection.databases.native.execute, connection.handle, text), place
            )
            connection.after(statement(text))
        return self

    def fetchone(self) -> Any:
        """Fetch one row."""
        return self._fetch("fetchone", super().fetchone)

    def fetchmany(self, *args: Any, **options: Any) -> Any:
        """Fetch some rows."""
        run = super().fetchmany
        return self._fetch("fetchmany", lambda: run(*args, **options))

    def fetchall(self) -> Any:
        """Fetch all rows."""
        return self._fetch("fetchall", super().fetchall)

    def __next__(self) -> Any:
        """Fetch the next row."""
        return self._fetch("next", super().__next__)

    def close(self) -> None:
        """Close the cursor, which may end its read."""
        self._fetch("close cursor", super().close)

    def _fetch(self, name: str, run: Callable[[], Any]) -> Any:
        connection = self.connection
        runtime = connection.databases.runtime
        if not runtime.controlled or not connection.handle or connection.in_transaction:
            return run()
        if connection.databases.native.state(connection.handle) == NONE or connection._fetched_at == runtime.points:
            return run()
        result = connection.point("fetch", name, "", run, where(3))
        # The lock stays as it is until the last row: fetching on, with nothing in between, is no new choice.
        connection._fetched_at = runtime.points
        return result


def _taken(parameters: Iterable[Any]) -> tuple[Sequence[Any], Iterable[Any]]:
    """Return all of *parameters* that can be produced, and an iterable that yields them and then raises the same error."""
    if isinstance(parameters, (list, tuple)):
        return parameters, parameters
    rows: list[Any] = []
    try:
        rows.extend(parameters)
    except BaseException as error:
        return rows, _and_then(rows, error)
    return rows, rows


def _and_then(rows: Sequence[Any], error: BaseException) -> Iterator[Any]:
    yield from rows
    raise error


def real_cursor(connection: Any) -> sqlite3.Cursor:
    """Return a cursor of *connection* without schedule points, and with plain tuples for rows."""
    cursor = RealCursor(connection)
    cursor.row_factory = None
    return cursor


_mixtures: dict[tuple[type, type], type] = {}


def mixed(ours: type, theirs: type) -> type:
    """Return a class that is *theirs*, with *ours* in the place of the real class that it extends."""
    if issubclass(theirs, ours):
        return theirs
    mixture = _mixtures.get((ours, theirs))
    if mixture is None:
        mixture = _mixtures[ours, theirs] = type(theirs.__name__, (theirs, ours), {"__module__": theirs.__module__})
    return mixture
