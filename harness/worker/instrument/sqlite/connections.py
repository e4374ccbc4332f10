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
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, TypeAlias

from harness.boundary import messages
from harness.worker.instrument.files.paths import LINKED
from harness.worker.instrument.sqlite import copies
from harness.worker.instrument.sqlite.attached import Attached, pending
from harness.worker.instrument.sqlite.blobs import Blob
from harness.worker.instrument.sqlite.cursors import Cursor, RealCursor, mixed
from harness.worker.instrument.sqlite.databases import Databases, accesses
from harness.worker.instrument.sqlite.injection import BUSY, INJECTED, errors_of, errors_of_commit, injected
from harness.worker.instrument.sqlite.native import NONE, READ, WRITE
from harness.worker.instrument.sqlite.own_files import is_shared_memory, path_of, plain_path
from harness.worker.instrument.sqlite.statements import Statement, statement
from harness.worker.source import Place, where
from harness.worker.virtual.rebind import Replacement

__all__ = ["Connection", "replacements"]

RealConnection: TypeAlias = sqlite3.Connection
_BUSY_CODES = (5, 6)
_PARAMETERS = (
    "timeout", "detect_types", "isolation_level", "check_same_thread", "factory", "cached_statements", "uri",
)  # fmt: skip
"""What ``sqlite3.connect`` takes by position after the database."""


class Connection(RealConnection):
    """A connection with schedule points at its statements."""

    databases: ClassVar[Databases]

    handle = 0
    files: tuple[str, ...] = ()
    attached: Attached
    among_threads = False
    """Whether it is open in memory, where other threads of the process may look at it."""
    running = False
    _owner = 0
    _fetched_at = -1
    _spills = 0
    _before: tuple[int, ...] = ()
    _changed_schema = _checkpoints = False
    _known: list[tuple[str, ...]] | None = None
    _waits_until: float | None = None
    _waits_with: tuple[int, ...] | None = None
    _wal: bool | None = None  # until it is needed

    def __init__(self, database: Any, *args: Any, **options: Any) -> None:
        options.update(zip(_PARAMETERS, args, strict=False))
        options.pop("factory", None)
        # Which thread uses the connection is ours to check: what an execution left open is closed by the main thread.
        checked = options.pop("check_same_thread", True)
        databases = self.databases
        self.opened: Place | None = where(2) or databases.runtime.place()
        path = path_of(database, bool(options.get("uri")))
        if databases.files.needs_point(path):
            databases.runtime.park("file", f"open {path} (SQLite)", "", self.opened)
        super().__init__(database, check_same_thread=False, **options)
        if checked:
            self._owner = get_ident()
        self.timeout = float(options.get("timeout", 5.0))
        self.handle, path = databases.native.handle(self, plain_path(database, options))
        self.attached = Attached(databases.native, self.handle, databases.files.named)
        if path:
            self.files = self.attached.know(iter([("main", path)]))
            databases.opened(self)
        elif not checked or is_shared_memory(database, options):
            self.among_threads = True
            databases.opened_in_memory(self)

    def waits(self) -> bool:
        """SQLite met a lock and would sleep: park until somebody may have released it; return False when time is up."""
        runtime = self.databases.runtime
        states = self.attached.locked()
        if self._waits_until is None:
            self._waits_until = runtime.clock.tell() + self.timeout
            self._names()
        if states != self._waits_with:
            # A commit that waits for readers keeps new readers out from now on (SQLite's PENDING lock), as BEGIN EXCLUSIVE
            # does; and a statement that committed by itself may have waited for the right to write before. Where locks are
            # kept (locking_mode), what has begun to read keeps others from committing. A checkpoint keeps others off.
            self._waits_with = states
            before = self._before if len(self._before) == len(states) else self.attached.none()
            checkpoints = self._checkpoints
            for file, state, earlier in zip(self.attached.files, states, before, strict=True):
                shuts = checkpoints or pending(state, earlier)
                runtime.touched(f"data:{file.name}", "w" if shuts else "r")
                if shuts:
                    runtime.touched(f"schema:{file.name}", "w")
                runtime.touched(f"lock:{file.name}", "w" if checkpoints or state == WRITE != earlier else "r")
            if checkpoints or any(map(pending, states, before)):
                self._changed_schema = True
                runtime.news.append(messages.visible())
        return runtime.block(self.files, self._waits_until)

    def point(self, kind: str, text: str, detail: str, run: Callable[[], Any], place: Place | None) -> Any:
        """Park, then *run* one statement and report its accesses."""
        if self._owner and self._owner != get_ident():
            self._wrong_thread()
        databases = self.databases
        runtime = databases.runtime
        if not (self.files or self.among_threads) or not (runtime.controlled or runtime.aborting):
            databases.outside += bool(self.files)
            return run()
        how = runtime.park(kind, text, detail, place, errors=self.could_end_with(kind, text))
        if how in INJECTED:
            run = partial(self._end_with, how)
        self._known = None
        self.begins()
        before, changes, idle = self._before, self.total_changes, not self.in_transaction
        journals = databases.files.journals
        failed = erred = False
        self._checkpoints = kind == "sql" and statement(text).checkpoints
        self.running = True
        try:
            return run()
        except sqlite3.Error as error:
            code, erred = getattr(error, "sqlite_errorcode", None), how not in INJECTED
            failed = code is not None and code & 0xFF in _BUSY_CODES
            if failed and how not in INJECTED and self._waits_until is None:
                runtime.news.append(messages.busy(self.files))
            runtime.news.append(messages.error(f"{type(error).__name__}: {error}"))
            raise
        finally:
            self.running = False
            after = self.attached.states() if self.handle else self.attached.none()
            about = statement(text)
            if not self.timeout or self._told_at_once(about, failed or databases.files.journals != journals):
                # Others' locks are met between their statements only, and these are not waited for.
                runtime.news.append(messages.undivided())
            idle = idle and kind == "sql" and not about.silent
            wrote = self._wrote(kind, about, changes)
            self._changed_schema = self._changed_schema or about.schema
            for number, states in enumerate(zip(before, after, strict=True)):
                self._moved(kind, about, number, states, (wrote, failed, idle, erred))
            self._changed_schema = self._changed_schema and self._open()

    def begins(self) -> None:
        """An operation begins: note how the transaction stands, and that it has not waited yet."""
        self._before, self._waits_until, self._waits_with = self.attached.states(), None, None

    def _moved(
        self, kind: str, about: Statement, number: int, states: tuple[int, int], how: tuple[bool, bool, bool, bool]
    ) -> None:
        """Report the accesses of an operation to file number *number* of the open ones.

        *how* says whether it wrote, failed on a lock, began when idle, and ended with an error.
        """
        databases, (before, after), (wrote, failed, idle, erred) = self.databases, states, how
        if idle and before == after == READ and not failed:
            # The statement that held the lock may have been this cursor's, and ended as this one began.
            for name in self._names()[number]:
                databases.read_anew(name)
        # What does not compile has had SQLite look at the tables.
        looked = failed or (erred and after == NONE)
        if before == READ and (after == WRITE or failed):
            databases.tries_to_write(self.attached.files[number].name)
        elif wrote and before == after == NONE and not failed and kind != "close":
            databases.wrote_at_once(self.attached.files[number].name)
        if not looked and before == after and (about.silent or (after == NONE and (kind == "close" or self._open()))):
            return
        wrote = wrote or (before == WRITE and not self._open())
        excludes = about.excludes_readers or (before != after == WRITE and self.attached.shut(number))
        touched = accesses(before, after, wrote, failed, excludes)
        # A connection that has not read the schema yet waits as long as readers are kept out.
        self._changed_schema = self._changed_schema or excludes or (wrote and before != NONE != after)
        if not touched and before == after != NONE:
            return
        if self._changed_schema and ("data", "w") in touched:
            touched = [*touched, ("schema", "w")]
        for name in self._names()[number]:
            databases.moved(self, name, states, touched)

    def _told_at_once(self, about: Statement, changed_mode: bool) -> bool:
        """Return whether *about* is refused at once in the middle of another's statement, whatever the time-out is.

        Where locks are kept (``locking_mode``), two statements that each have begun to read refuse each other for good.
        """
        if self.attached.keeps or (about.checkpoint and self.attached.in_wal):
            return True
        return about.journal_mode and changed_mode

    def _names(self) -> list[tuple[str, ...]]:
        """Return the names of each file in the current operation: those at the beginning of its wait, if it waited."""
        if self._known is None:
            self._known = [self.attached.names(file) for file in self.attached.files]
        return self._known

    def _open(self) -> bool:
        """Whether a transaction is open."""
        return bool(self.handle) and self.in_transaction

    def holds(self, file: str) -> bool:
        """Whether a lock on *file* is held."""
        for known, state in zip(self.attached.files, self.attached.states(), strict=True):
            if state != NONE and file in (known.name, LINKED):
                return True
        return False

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
            self._wal = RealCursor(self).execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        return self._wal

    def _end_with(self, how: int) -> None:
        """End as SQLite does with an error: all but BUSY undo the whole transaction (``sqlite3VdbeHalt``)."""
        if how != BUSY and self.in_transaction:
            self.databases.native.execute(self.handle, "ROLLBACK")
        raise injected(how)

    def _wrote(self, kind: str, about: Statement, changes: int) -> bool:
        """Whether the operation just run made a change that others can see now, or would have needed to."""
        if not self.handle:
            return True
        if self.in_transaction:
            return not about.reading and self._spilled()
        return (kind == "sql" and not about.reading) or self.total_changes != changes

    def _spilled(self) -> bool:
        """Whether a transaction grew out of its cache since last asked: SQLite then takes the exclusive lock early."""
        spills = self.databases.native.spills(self.handle)
        before, self._spills = self._spills, spills
        return spills != before

    # The public methods that touch shared state

    def cursor(self, factory: Any = None) -> Any:
        """Return a cursor with schedule points at its statements."""
        if factory is None or factory is RealCursor:
            return super().cursor(Cursor)
        if isinstance(factory, type) and issubclass(factory, RealCursor):
            return super().cursor(mixed(Cursor, factory))
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

    backup = copies.backup
    serialize = copies.serialize
    deserialize = copies.deserialize

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
        return bool(self.attached.in_wal) or any(self.attached.states())

    def _close(self) -> None:
        super().close()
        self.databases.closed(self)

    def __del__(self) -> None:
        # The last to close deletes files, of which SQLite tells us. Were it left to the deallocation, that could be with an
        # error pending (of the frame that is left), and nothing of ours could run then. Here Python has put the error aside.
        if self.handle:
            with suppress(Exception):
                self._close()

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
            self.look_at_files()
        elif about.locking_mode:
            self.attached.keeps = True
        elif about.busy_timeout and self.files:
            self.timeout = RealCursor(self).execute("PRAGMA busy_timeout").fetchone()[0] / 1000
            self.databases.watch(self)

    def look_at_files(self) -> None:
        """Know which files are open now."""
        rows = RealCursor(self).execute("PRAGMA database_list").fetchall()
        self.files = self.attached.know((os.fsdecode(name), os.fsdecode(path)) for _, name, path in rows if path)

    def begin_if_needed(self, sql: str, place: Place | None) -> None:
        """Issue the BEGIN that ``sqlite3`` would issue by itself before the data change *sql*, as a schedule point.

        Like ``sqlite3`` it has SQLite compile *sql* first: where that fails (no such table, a schema that is locked) no
        transaction is begun.
        """
        level = self.isolation_level
        if level is None or self.in_transaction or getattr(self, "autocommit", -1) != -1:
            return
        begin, compiled = f"BEGIN {level}".rstrip(), super().__call__

        def run() -> Any:
            # That it compiles depends on what tables there are, which only some statements change.
            for names in self._names():
                for name in names:
                    self.databases.runtime.touched(f"schema:{name}", "r")
            compiled(sql)
            return RealCursor(self).execute(begin)

        self.point("sql", begin, "implicit", run, place)


def replacements(databases: Databases) -> list[Replacement]:
    """Return the replacements that put the schedule points into ``sqlite3``: its ``connect`` and its classes."""
    real_connect = sqlite3.connect
    Connection.databases = databases

    def connect(database: Any, *args: Any, **options: Any) -> Any:
        options.update(zip(_PARAMETERS, args, strict=False))
        factory = options.pop("factory", RealConnection)
        options["factory"] = Connection if factory is RealConnection else mixed(Connection, factory)
        return real_connect(database, **options)

    return [
        Replacement(real_connect, connect, sqlite3, "connect"),
        Replacement(RealConnection, Connection, sqlite3, "Connection"),
        Replacement(RealCursor, Cursor, sqlite3, "Cursor"),
    ]
