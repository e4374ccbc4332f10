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
from typing import Any, ClassVar, TypeAlias

from harness.worker.instrument.databases import Databases, accesses
from harness.worker.instrument.sqlite_native import NONE, WRITE
from harness.worker.instrument.statements import (
    excludes_readers,
    is_attach,
    is_dml,
    is_reading,
    is_rollback,
    is_silent,
    parts,
    sets_busy_timeout,
    shown,
)
from harness.worker.rebind import Replacement
from harness.worker.source import Place, where

__all__ = ["Connection", "Cursor", "replacements"]

_RealConnection: TypeAlias = sqlite3.Connection
_RealCursor: TypeAlias = sqlite3.Cursor
_BUSY_CODES = (5, 6)


class Connection(_RealConnection):
    """A connection whose statements are schedule points."""

    databases: ClassVar[Databases]

    def __init__(self, database: Any, *args: Any, **options: Any) -> None:
        self.handle = 0
        self._owner = get_ident()
        # Which thread uses the connection is ours to check: what an execution left open is closed by the main thread.
        if len(args) > 3:
            checked, args = args[3], (*args[:3], False, *args[4:])
        else:
            checked = options.get("check_same_thread", True)
            options["check_same_thread"] = False
        if not checked:
            self._owner = 0
        super().__init__(database, *args, **options)
        databases = self.databases
        self.timeout = float(options.get("timeout", args[0] if args else 5.0))
        self.opened: Place | None = where(2) or databases.runtime.place()
        self.handle, path = databases.native.handle(self, _plain_path(database, options))
        self.files: tuple[str, ...] = (path.rpartition("/")[2],) if path else ()
        self._waits_until: float | None = None
        self._waits_with: int | None = None
        self._statement: tuple[str, int] = ("", NONE)
        self._fetched_at = -1
        self._spills = 0
        self.running = False
        if path:
            databases.opened(self)

    def waits(self) -> bool:
        """SQLite met a lock and would sleep: park until somebody may have released it; return False when time is up."""
        runtime = self.databases.runtime
        text, before = self._statement
        state = self.databases.native.state(self.handle)
        if self._waits_until is None:
            self._waits_until = runtime.clock.now + self.timeout
        if state != self._waits_with:
            # A commit that waits for readers keeps new readers out from now on (SQLite's PENDING lock), and a
            # statement that committed by itself may have waited for the right to write before.
            self._waits_with = state
            pending = state == WRITE
            for file in self.files:
                runtime.touched(f"data:{file}", "w" if pending else "r")
                runtime.touched(f"lock:{file}", "w" if pending and before != WRITE else "r")
            if pending:
                runtime.news.append(("visible",))
        return runtime.block(text, self._waits_until)

    def point(self, kind: str, text: str, detail: str, run: Callable[[], Any], place: Place | None) -> Any:
        """Park, then *run* one statement and report what it did."""
        if self._owner and self._owner != get_ident():
            self._wrong_thread()
        databases = self.databases
        runtime = databases.runtime
        if not self.files or not (runtime.controlled or runtime.aborting):
            return run()
        runtime.park(kind, text, detail, place)
        native = databases.native
        before = native.state(self.handle)
        self._statement, self._waits_until, self._waits_with = (text, before), None, None
        changes = self.total_changes
        failed = False
        self.running = True
        try:
            return run()
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", None)
            failed = code is not None and code & 0xFF in _BUSY_CODES
            if failed and self._waits_until is None:
                runtime.news.append(("busy",))
            runtime.news.append(("error", f"{type(error).__name__}: {error}"))
            raise
        finally:
            self.running = False
            after = native.state(self.handle) if self.handle else NONE
            if failed or before != after or not is_silent(text):
                wrote = self._wrote(kind, text, before, changes)
                touched = accesses(before, after, wrote, failed, excludes=excludes_readers(text))
                databases.moved(self, before, after, touched)

    def _wrote(self, kind: str, text: str, before: int, changes: int) -> bool:
        """Whether the statement just run made a change that others can see now, or would have needed to."""
        if not self.handle:
            return True
        if self.in_transaction:
            return self._spilled()
        if kind == "sql" and not is_reading(text):
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

    def all_files(self) -> tuple[str, ...]:
        """Return the names of the main and all attached database files."""
        rows = _RealCursor(self).execute("PRAGMA database_list").fetchall()
        return tuple(os.path.basename(path) for _, _, path in rows if path)

    def _idle(self) -> bool:
        return not self.handle or not self.in_transaction

    def begin_if_needed(self, sql: str, place: Place | None) -> None:
        """Issue the BEGIN that ``sqlite3`` would issue by itself before a data change, as a schedule point."""
        level = self.isolation_level
        if level is None or self.in_transaction or getattr(self, "autocommit", -1) != -1 or not is_dml(sql):
            return
        begin = f"BEGIN {level}".rstrip()
        self.point("sql", begin, "implicit", lambda: _RealCursor(self).execute(begin), place)


class Cursor(_RealCursor):
    """A cursor whose statements, and fetches that still hold a lock, are schedule points."""

    connection: Connection

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        """Execute one statement."""
        place = where(2)
        connection = self.connection
        runtime = connection.databases.runtime
        if not (runtime.controlled or runtime.aborting):
            result = super().execute(sql, parameters)
        else:
            connection.begin_if_needed(sql, place)
            run = super().execute
            kind = "rollback" if is_rollback(sql) else "sql"
            result = connection.point(kind, sql, shown(parameters), lambda: run(sql, parameters), place)
        if sets_busy_timeout(sql):
            self._busy_timeout_changed()
        elif is_attach(sql):
            connection.files = connection.all_files()
        return result

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any:
        """Execute one statement for each of *parameters*."""
        place = where(2)
        connection = self.connection
        connection.begin_if_needed(sql, place)
        run = super().executemany
        rows = parameters if isinstance(parameters, (list, tuple)) else list(parameters)
        return connection.point("sql", sql, f"{len(rows)} rows {shown(rows)}", lambda: run(sql, rows), place)

    def executescript(self, script: str, /) -> Any:
        """Execute the statements of *script* one by one, after the COMMIT that ``sqlite3`` issues first."""
        place = where(2)
        connection = self.connection
        if connection.in_transaction:
            connection.point("commit", "COMMIT", "implicit", lambda: _RealConnection.commit(connection), place)
        run = super().executescript
        for statement in parts(script):
            connection.point("sql", statement, "", lambda text=statement: run(text), place)  # type: ignore[misc]
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

    def _busy_timeout_changed(self) -> None:
        connection = self.connection
        row = _RealCursor(connection).execute("PRAGMA busy_timeout").fetchone()
        connection.timeout = row[0] / 1000
        connection.databases.watch(connection)


def _plain_path(database: Any, options: Any) -> str:
    """Return the path that the connection's handle must be open on, or an empty string where it can't be told."""
    if options.get("uri") or not isinstance(database, (str, os.PathLike)):
        return ""
    path = os.fspath(database)
    return "" if not isinstance(path, str) or path.startswith((":memory:", "file:")) else path


_mixtures: dict[tuple[type, type], type] = {}


def _mixed(ours: type, theirs: type) -> type:
    """Return a class that is *theirs* with the schedule points of *ours*."""
    if issubclass(theirs, ours):
        return theirs
    mixture = _mixtures.get((ours, theirs))
    if mixture is None:
        mixture = _mixtures[ours, theirs] = type(theirs.__name__, (ours, theirs), {"__module__": theirs.__module__})
    return mixture


def replacements(databases: Databases) -> list[Replacement]:
    """Return what puts the schedule points over ``sqlite3.connect`` and the names of its classes."""
    real_connect = sqlite3.connect
    Connection.databases = databases

    def connect(database: Any, *args: Any, **options: Any) -> Any:
        if len(args) > 4:
            args, options = (*args[:4], *args[5:]), {**options, "factory": args[4]}
        factory = options.pop("factory", _RealConnection)
        options["factory"] = Connection if factory is _RealConnection else _mixed(Connection, factory)
        return real_connect(database, *args, **options)

    return [
        Replacement(real_connect, connect, sqlite3, "connect"),
        Replacement(_RealConnection, Connection, sqlite3, "Connection"),
        Replacement(_RealCursor, Cursor, sqlite3, "Cursor"),
    ]
