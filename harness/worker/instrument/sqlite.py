"""Schedule points in ``sqlite3``: statements, transactions' ends, closing, and fetches that hold a read lock.

Real connections and real locks: a ``Connection`` and ``Cursor`` factory put over ``sqlite3.connect``. When a
statement meets a lock, SQLite's busy handler parks the task instead of sleeping; SQLite itself tries again, and
gives the genuine error when virtual time passes the connection's time-out.
"""

from __future__ import annotations

import os
import sqlite3
from _thread import get_ident
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, ClassVar, TypeAlias

from harness.worker.instrument.blobs import Blob
from harness.worker.instrument.databases import Databases, accesses
from harness.worker.instrument.injection import BUSY, INJECTED, errors_of, errors_of_commit, injected
from harness.worker.instrument.sqlite_native import NONE, WRITE
from harness.worker.instrument.statements import Statement, parts, shown, statement
from harness.worker.rebind import Replacement
from harness.worker.source import Place, where

__all__ = ["Connection", "Cursor", "real_cursor", "replacements"]

_RealConnection: TypeAlias = sqlite3.Connection
_RealCursor: TypeAlias = sqlite3.Cursor
_BUSY_CODES = (5, 6)
_PARAMETERS = (
    "timeout", "detect_types", "isolation_level", "check_same_thread", "factory", "cached_statements", "uri",
)  # fmt: skip
"""What ``sqlite3.connect`` takes by position after the database."""


class Connection(_RealConnection):
    """A connection whose statements are schedule points."""

    databases: ClassVar[Databases]

    handle = 0
    files: tuple[str, ...] = ()
    running = False
    _owner = 0
    _fetched_at = -1
    _spills = 0
    _before = NONE
    _waits_until: float | None = None
    _waits_with: int | None = None
    _wal: bool | None = None  # until it is needed

    def __init__(self, database: Any, *args: Any, **options: Any) -> None:
        options.update(zip(_PARAMETERS, args, strict=False))
        options.pop("factory", None)
        # Which thread uses the connection is ours to check: what an execution left open is closed by the main thread.
        checked = options.pop("check_same_thread", True)
        super().__init__(database, check_same_thread=False, **options)
        if checked:
            self._owner = get_ident()
        databases = self.databases
        self.timeout = float(options.get("timeout", 5.0))
        self.opened: Place | None = where(2) or databases.runtime.place()
        self.handle, path = databases.native.handle(self, _plain_path(database, options))
        if path:
            self.files = (path.rpartition("/")[2],)
            databases.opened(self)

    def waits(self) -> bool:
        """SQLite met a lock and would sleep: park until somebody may have released it; return False when time is up."""
        runtime = self.databases.runtime
        state = self.databases.native.state(self.handle)
        if self._waits_until is None:
            self._waits_until = runtime.clock.tell() + self.timeout
        if state != self._waits_with:
            # A commit that waits for readers keeps new readers out from now on (SQLite's PENDING lock), and a
            # statement that committed by itself may have waited for the right to write before.
            self._waits_with = state
            pending = state == WRITE
            for file in self.files:
                runtime.touched(f"data:{file}", "w" if pending else "r")
                runtime.touched(f"lock:{file}", "w" if pending and self._before != WRITE else "r")
            if pending:
                runtime.news.append(("visible",))
        return runtime.block(self.files, self._waits_until)

    def point(self, kind: str, text: str, detail: str, run: Callable[[], Any], place: Place | None) -> Any:
        """Park, then *run* one statement and report what it did."""
        if self._owner and self._owner != get_ident():
            self._wrong_thread()
        databases = self.databases
        runtime = databases.runtime
        if not self.files or not (runtime.controlled or runtime.aborting):
            databases.outside += bool(self.files)
            return run()
        how = runtime.park(kind, text, detail, place, errors=self.could_end_with(kind, text))
        native = databases.native
        if how in INJECTED:
            run = partial(self._end_with, how)
        before = native.state(self.handle)
        self._before, self._waits_until, self._waits_with = before, None, None
        changes = self.total_changes
        failed = False
        self.running = True
        try:
            return run()
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", None)
            failed = code is not None and code & 0xFF in _BUSY_CODES
            if failed and how not in INJECTED and self._waits_until is None:
                runtime.news.append(("busy", self.files))
            runtime.news.append(("error", f"{type(error).__name__}: {error}"))
            raise
        finally:
            self.running = False
            after = native.state(self.handle) if self.handle else NONE
            about = statement(text)
            if failed or before != after or not about.silent:
                wrote = self._wrote(kind, about, before, changes)
                databases.moved(self, before, after, accesses(before, after, wrote, failed, about.excludes_readers))

    def could_end_with(self, kind: str, text: str) -> tuple[str, ...]:
        """Return the errors (``harness.faults.ERRORS``) that SQLite could report for this operation, as things stand.

        BUSY where a lock must be had first: to begin to read or write, to go on from reading to writing, and to commit over a
        rollback journal. Disk full where something is written, I/O error where anything is read or written.
        """
        if kind not in ("sql", "commit") or not self.databases.runtime.asks_errors or not self.handle or not self.files:
            return ()
        about = statement(text)
        if kind == "commit" or about.commits:
            return errors_of_commit(self._in_wal()) if self.in_transaction else ()
        return errors_of(about, self.databases.native.state(self.handle))

    def _in_wal(self) -> bool:
        if self._wal is None:
            self._wal = _RealCursor(self).execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        return self._wal

    def _end_with(self, how: int) -> None:
        """End as SQLite does with an error: all but BUSY undo the whole transaction (``sqlite3VdbeHalt``)."""
        if how != BUSY and self.in_transaction:
            self.databases.native.execute(self.handle, "ROLLBACK")
        raise injected(how)

    def _wrote(self, kind: str, about: Statement, before: int, changes: int) -> bool:
        """Whether the statement just run made a change that others can see now, or would have needed to."""
        if not self.handle:
            return True
        if self.in_transaction:
            return not about.reading and self._spilled()
        if kind == "sql" and not about.reading:
            return True
        return before == WRITE or self.total_changes != changes

    def _spilled(self) -> bool:
        """Whether a transaction grew out of its cache since last asked: SQLite then takes the exclusive lock early."""
        spills = self.databases.native.spills(self.handle)
        before, self._spills = self._spills, spills
        return spills != before

    # The public methods that touch shared state

    def cursor(self, factory: Any = None) -> Any:
        """Return a cursor whose statements are schedule points."""
        if factory is None or factory is _RealCursor:
            return super().cursor(Cursor)
        if isinstance(factory, type) and issubclass(factory, _RealCursor):
            return super().cursor(_mixed(Cursor, factory))
        return super().cursor(factory)

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        """Execute one statement with a new cursor."""
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any:
        """Execute one statement for each of *parameters* with a new cursor."""
        return self.cursor().executemany(sql, parameters)

    def executescript(self, script: str, /) -> Any:
        """Execute the statements of *script* with a new cursor."""
        return self.cursor().executescript(script)

    def blobopen(self, table: str, column: str, row: int, /, **options: Any) -> Any:
        """Open a blob; opening, reading, writing and closing it are schedule points."""
        text = f"blob {table}.{column} row {row}"
        run = super().blobopen
        blob = self.point("blob", f"open {text}", "", lambda: run(table, column, row, **options), where(2))
        return Blob(self, blob, text)

    def commit(self) -> None:
        """Commit, as a schedule point if there is a transaction."""
        if self._idle():
            super().commit()
        else:
            self.point("commit", "COMMIT", "", super().commit, where(2))

    def rollback(self) -> None:
        """Roll back, as a schedule point if there is a transaction."""
        if self._idle():
            super().rollback()
        else:
            self.point("rollback", "ROLLBACK", "", super().rollback, where(2))

    def close(self) -> None:
        """Close, as a schedule point where that lets a lock go."""
        if self.handle and self.files and self._matters_to_others():
            self.point("close", "CLOSE", "", self._close, where(2))
        else:
            self._close()

    def _matters_to_others(self) -> bool:
        return self.databases.native.state(self.handle) != NONE

    def _close(self) -> None:
        super().close()
        self.databases.closed(self)

    def drop(self) -> None:
        """Close from outside, in whatever thread."""
        if self.handle:
            self.handle = 0
            super().close()

    def _wrong_thread(self) -> None:
        raise sqlite3.ProgrammingError(
            "SQLite objects created in a thread can only be used in that same thread. "
            f"The object was created in thread id {self._owner} and this is thread id {get_ident()}."
        )

    def __exit__(self, kind: Any, error: Any, trace: Any) -> Any:
        """Commit or roll back as ``with connection:`` does, through the schedule points."""
        if kind is not None:
            self.rollback()
            return False
        try:
            self.commit()
        except BaseException:
            self.rollback()
            raise
        return False

    def _idle(self) -> bool:
        return not self.handle or not self.in_transaction

    def after(self, about: Statement) -> None:
        """Keep up with a statement that changed the connection itself: its files, or its busy handler."""
        if about.attach:
            rows = _RealCursor(self).execute("PRAGMA database_list").fetchall()
            self.files = tuple(os.path.basename(path) for _, _, path in rows if path)
        elif about.busy_timeout and self.files:
            self.timeout = _RealCursor(self).execute("PRAGMA busy_timeout").fetchone()[0] / 1000
            self.databases.watch(self)

    def begin_if_needed(self, place: Place | None) -> None:
        """Issue the BEGIN that ``sqlite3`` would issue by itself before a data change, as a schedule point."""
        level = self.isolation_level
        if level is None or self.in_transaction or getattr(self, "autocommit", -1) != -1:
            return
        begin = f"BEGIN {level}".rstrip()
        self.point("sql", begin, "implicit", lambda: _RealCursor(self).execute(begin), place)


class Cursor(_RealCursor):
    """A cursor whose statements, and fetches that still hold a lock, are schedule points."""

    connection: Connection

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        """Execute one statement."""
        connection = self.connection
        runtime = connection.databases.runtime
        about = statement(sql)
        if not (runtime.controlled or runtime.aborting):
            connection.databases.outside += bool(connection.files)
            result = super().execute(sql, parameters)
        else:
            place = where(2)
            if about.dml:
                connection.begin_if_needed(place)
            run = super().execute
            kind = "rollback" if about.rollback else "sql"
            result = connection.point(kind, sql, shown(parameters), lambda: run(sql, parameters), place)
        if about.special:
            connection.after(about)
        return result

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any:
        """Execute one statement for each of *parameters*."""
        place = where(2)
        connection = self.connection
        if statement(sql).dml:
            connection.begin_if_needed(place)
        run = super().executemany
        rows = parameters if isinstance(parameters, (list, tuple)) else list(parameters)
        return connection.point("sql", sql, f"{len(rows)} rows {shown(rows)}", lambda: run(sql, rows), place)

    def executescript(self, script: str, /) -> Any:
        """Execute the statements of *script* one by one, after the COMMIT that ``sqlite3`` issues first."""
        connection = self.connection
        runtime = connection.databases.runtime
        if not (runtime.controlled or runtime.aborting) or not connection.files:
            connection.databases.outside += bool(connection.files)
            return super().executescript(script)
        place = where(2)
        if connection.in_transaction:
            connection.point("commit", "COMMIT", "implicit", lambda: _RealConnection.commit(connection), place)
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


def _plain_path(database: Any, options: Any) -> str:
    """Return the path that the connection's handle must be open on, or an empty string where it can't be told."""
    if options.get("uri") or not isinstance(database, (str, os.PathLike)):
        return ""
    path = os.fspath(database)
    return "" if not isinstance(path, str) or path.startswith((":", "file:")) else path


def real_cursor(connection: Any) -> sqlite3.Cursor:
    """Return a cursor of *connection* whose statements are no schedule points, and whose rows are plain tuples."""
    cursor = _RealCursor(connection)
    cursor.row_factory = None
    return cursor


_mixtures: dict[tuple[type, type], type] = {}


def _mixed(ours: type, theirs: type) -> type:
    """Return a class that is *theirs*, with *ours* in the place of the real class that it extends."""
    if issubclass(theirs, ours):
        return theirs
    mixture = _mixtures.get((ours, theirs))
    if mixture is None:
        mixture = _mixtures[ours, theirs] = type(theirs.__name__, (theirs, ours), {"__module__": theirs.__module__})
    return mixture


def replacements(databases: Databases) -> list[Replacement]:
    """Return what puts the schedule points over ``sqlite3.connect`` and the names of its classes."""
    real_connect = sqlite3.connect
    Connection.databases = databases

    def connect(database: Any, *args: Any, **options: Any) -> Any:
        options.update(zip(_PARAMETERS, args, strict=False))
        factory = options.pop("factory", _RealConnection)
        options["factory"] = Connection if factory is _RealConnection else _mixed(Connection, factory)
        return real_connect(database, **options)

    return [
        Replacement(real_connect, connect, sqlite3, "connect"),
        Replacement(_RealConnection, Connection, sqlite3, "Connection"),
        Replacement(_RealCursor, Cursor, sqlite3, "Cursor"),
    ]
