"""Reaches the SQLite library below ``sqlite3``: busy handler, transaction state, clock and randomness.

CPython's module exposes none of these. The ``sqlite3*`` is the first field after the object header of a
``Connection``; the pointer is verified by ``sqlite3_db_filename`` before it is trusted (see docs/decisions/0003).
"""

from __future__ import annotations

import _sqlite3
import ctypes
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from harness.worker.runtime import Aborted

__all__ = ["NONE", "READ", "WRITE", "Native"]

NONE, READ, WRITE = 0, 1, 2
"""What ``sqlite3_txn_state`` returns: no transaction, one that has read, one that has written."""

_BusyHandler = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
_Randomness = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_ubyte))
_CurrentTime = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int64))
_OPENING = (ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_DELETING = (ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
_Open, _Delete = ctypes.CFUNCTYPE(*_OPENING), ctypes.CFUNCTYPE(*_DELETING)
_Open_, _Delete_ = ctypes.PYFUNCTYPE(*_OPENING), ctypes.PYFUNCTYPE(*_DELETING)
_CREATE = 4
"""``SQLITE_OPEN_CREATE``."""
_access, _THERE = os.access, os.F_OK
_Sleep = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)

_IntPointer = ctypes.POINTER(ctypes.c_int)

_CACHE_SPILL = 12
"""``SQLITE_DBSTATUS_CACHE_SPILL``."""

_LOCK_STATE = 1
"""``SQLITE_FCNTL_LOCKSTATE``."""
_SHARED, _RESERVED, _PENDING = 1, 2, 3
"""How far a file is locked: to read, to write, to keep new readers out."""

_OPERATIONAL = (1, 3, 4, 5, 6, 8, 9, 10, 13, 14, 15, 16, 17)
_ERRORS: dict[int, type[sqlite3.Error]] = {
    **dict.fromkeys(_OPERATIONAL, sqlite3.OperationalError),
    **dict.fromkeys((2, 12), sqlite3.InternalError),
    18: sqlite3.DataError,
    **dict.fromkeys((19, 20), sqlite3.IntegrityError),
    **dict.fromkeys((21, 25), sqlite3.InterfaceError),
}
"""Which exception ``sqlite3`` raises for which result code (``_pysqlite_seterror`` in CPython's source)."""

_JULIAN_UNIX_EPOCH_MS = 210_866_760_000_000
"""1 January 1970 in the milliseconds since noon of 24 November 4714 BC that SQLite counts."""


class _Vfs(ctypes.Structure):
    """``sqlite3_vfs`` up to the fields we replace (sqlite.org/c3ref/vfs.html)."""

    _fields_ = (
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", ctypes.c_void_p),
        ("zName", ctypes.c_char_p),
        ("pAppData", ctypes.c_void_p),
        *((name, ctypes.c_void_p) for name in ("xOpen", "xDelete", "xAccess", "xFullPathname")),
        *((name, ctypes.c_void_p) for name in ("xDlOpen", "xDlError", "xDlSym", "xDlClose")),
        ("xRandomness", ctypes.c_void_p),
        ("xSleep", ctypes.c_void_p),
        ("xCurrentTime", ctypes.c_void_p),
        ("xGetLastError", ctypes.c_void_p),
        ("xCurrentTimeInt64", ctypes.c_void_p),
    )


class Native:
    """The library's functions, bound once per worker. Keeps every callback alive that SQLite holds."""

    def __init__(self) -> None:
        library = ctypes.PyDLL(_sqlite3.__file__)
        self._txn_state = library.sqlite3_txn_state
        self._txn_state.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
        self._filename = library.sqlite3_db_filename
        self._filename.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
        self._filename.restype = ctypes.c_char_p
        self._busy_handler = library.sqlite3_busy_handler
        self._busy_handler.argtypes = (ctypes.c_void_p, _BusyHandler, ctypes.c_void_p)
        self._randomness = library.sqlite3_randomness
        self._randomness.argtypes = (ctypes.c_int, ctypes.c_void_p)
        self._exec = library.sqlite3_exec
        self._exec.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        self._message, self._extended = library.sqlite3_errmsg, library.sqlite3_extended_errcode
        self._message.argtypes = self._extended.argtypes = (ctypes.c_void_p,)
        self._message.restype = ctypes.c_char_p
        self._control = library.sqlite3_file_control
        self._control.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, _IntPointer)
        self._level = ctypes.c_int()
        self._backup_init, self._backup_step = library.sqlite3_backup_init, library.sqlite3_backup_step
        self._backup_init.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_char_p)
        self._backup_init.restype = ctypes.c_void_p
        self._backup_step.argtypes = (ctypes.c_void_p, ctypes.c_int)
        self._backup_finish, self._sleep = library.sqlite3_backup_finish, library.sqlite3_sleep
        self._backup_left, self._backup_all = library.sqlite3_backup_remaining, library.sqlite3_backup_pagecount
        for function in (self._backup_finish, self._backup_left, self._backup_all):
            function.argtypes = (ctypes.c_void_p,)
        self._status = library.sqlite3_db_status
        self._status.argtypes = (ctypes.c_void_p, ctypes.c_int, _IntPointer, _IntPointer, ctypes.c_int)
        self._spilled, self._ignored = ctypes.c_int(), ctypes.c_int()
        self._vfs_find = library.sqlite3_vfs_find
        self._vfs_find.argtypes = (ctypes.c_char_p,)
        self._vfs_find.restype = ctypes.c_void_p
        self._kept: list[Any] = []
        self._trusted = False
        self.waits: Callable[[int], bool] = lambda _: False
        self._on_busy, self._never = _BusyHandler(self._ask), _BusyHandler(0)

    def handle(self, connection: sqlite3.Connection, path: str) -> tuple[int, str]:
        """Return the ``sqlite3*`` of *connection* and the path of its main database (empty for one in memory).

        Verified to be open on *path*, if that is not empty, the first time; raises ``OSError`` otherwise. What holds for
        one connection of this interpreter holds for all.
        """
        handle = ctypes.c_void_p.from_address(id(connection) + object.__basicsize__).value
        if handle is None:
            raise OSError("the connection has no handle")
        name = os.fsdecode(self._filename(handle, b"main") or b"")
        if path and not self._trusted and name.rpartition("/")[2] != path.rpartition("/")[2]:
            raise OSError(f"the handle is open on {name!r}, not on {path!r}")
        self._trusted = self._trusted or bool(path)
        return handle, name

    def state(self, handle: int, schema: bytes | None = None) -> int:
        """Return the transaction state in *schema*, without one the strongest over all attached databases."""
        return int(self._txn_state(handle, schema))

    def keeps_readers_out(self, handle: int, schema: bytes) -> bool:
        """Return whether the lock on the file of *schema* lets nobody begin to read it."""
        return not self._control(handle, schema, _LOCK_STATE, self._level) and self._level.value >= _PENDING

    def lock_state(self, handle: int, schema: bytes, in_wal: bool) -> int:
        """Return the transaction state that the locks on the file of *schema* are as good as.

        Only where they are kept between transactions is that more than ``state`` says. Over a write-ahead log a file stays
        locked for reading as long as it is open.
        """
        if self._control(handle, schema, _LOCK_STATE, self._level):
            return NONE
        level = self._level.value
        return WRITE if level >= _RESERVED else READ if level == _SHARED and not in_wal else NONE

    def execute(self, handle: int, sql: str) -> None:
        """Execute *sql* unchanged, with no implicit transaction; raises the error that ``sqlite3`` would raise."""
        if code := self._exec(handle, sql.encode(), None, None, None):
            raise self._error(handle, code)

    def _error(self, handle: int, code: int) -> sqlite3.Error:
        error = _ERRORS.get(code & 0xFF, sqlite3.DatabaseError)(self._message(handle).decode())
        error.sqlite_errorcode = self._extended(handle)
        return error

    def backup(
        self,
        source: int,
        target: int,
        *,
        name: str,
        pages: int,
        stepped: Callable[[int, int, int], object],
        seconds: float,
    ) -> None:
        """Copy *name* of *source* into *target*, as CPython's ``Connection.backup`` does; raises the same errors.

        It does not call that method: if *stepped* raised an error, the method would go on in SQLite with that error
        pending, and none of our functions that SQLite calls could run.
        """
        copying = self._backup_init(target, b"main", source, name.encode())
        if not copying:
            raise self._error(target, self._extended(target))
        code = sqlite3.SQLITE_OK
        try:
            while code in (sqlite3.SQLITE_OK, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                code = self._backup_step(copying, pages)
                stepped(code, self._backup_left(copying), self._backup_all(copying))
                if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    self._sleep(int(seconds * 1000))
        finally:
            code = self._backup_finish(copying)
        if code:
            raise self._error(target, code)

    def spills(self, handle: int) -> int:
        """Return how many pages *handle* had to write out before its transaction ended."""
        self._status(handle, _CACHE_SPILL, self._spilled, self._ignored, 0)
        return self._spilled.value

    def watch(self, handle: int, wait: bool) -> None:
        """Have ``waits(handle)`` decide, when *handle* meets a lock, whether SQLite tries again; or never wait."""
        self._busy_handler(handle, self._on_busy if wait else self._never, handle)

    def _ask(self, handle: int | None, _: int) -> int:
        return 1 if self.waits(handle or 0) else 0

    def reseed(self) -> None:
        """Make SQLite's own random generator start again from the seed it asks its file system layer for."""
        self._randomness(0, None)

    def install_time_and_randomness(
        self, wall: Callable[[], float], draw: Callable[[int], bytes], sleep: Callable[[float], None]
    ) -> None:
        """Put virtual time, seeded randomness and virtual sleeping under SQL functions and SQLite itself."""

        def current(_: object, out: Any) -> int:
            out[0] = _JULIAN_UNIX_EPOCH_MS + int(wall() * 1000)
            return 0

        def random(_: object, size: int, out: Any) -> int:
            ctypes.memmove(out, draw(size), size)
            return size

        def pause(_: object, microseconds: int) -> int:
            with suppress(Aborted):
                sleep(microseconds / 1e6)
            return microseconds

        for field, prototype, function in (
            ("xCurrentTimeInt64", _CurrentTime, current),
            ("xRandomness", _Randomness, random),
            ("xSleep", _Sleep, pause),
        ):
            callback = prototype(function)
            self._kept.append(callback)
            for vfs in self._file_systems():
                setattr(vfs, field, ctypes.cast(callback, ctypes.c_void_p).value)

    def _file_systems(self) -> Iterator[_Vfs]:
        """Yield SQLite's own layers over the operating system's files, which differ in how they lock."""
        address = self._vfs_find(None)
        while address:
            vfs = _Vfs.from_address(address)
            if (vfs.zName or b"").startswith(b"unix"):
                yield vfs
            address = vfs.pNext

    def tell_of_files(self, opened: Callable[[str, int, bool], None], deleted: Callable[[str], None]) -> None:
        """Call *opened* for each file that SQLite opens (flags, whether it was created), and *deleted* for each deletion."""
        for vfs in self._file_systems():
            really_open, really_delete = _Open_(vfs.xOpen), _Delete_(vfs.xDelete)

            def open_(
                vfs: int, name: int | None, file: int, flags: int, out: int | None, really: Any = really_open
            ) -> int:
                if not name:
                    return int(really(vfs, name, file, flags, out))
                path = os.fsdecode(ctypes.string_at(name))
                new = bool(flags & _CREATE) and not _exists(path)
                code = int(really(vfs, name, file, flags, out))
                opened(path, flags, new and not code)
                return code

            def delete(vfs: int, name: int, sync: int, really: Any = really_delete) -> int:
                code = int(really(vfs, name, sync))
                if not code:
                    deleted(os.fsdecode(ctypes.string_at(name)))
                return code

            callbacks = _Open(open_), _Delete(delete)
            self._kept += [*callbacks, really_open, really_delete]
            vfs.xOpen, vfs.xDelete = (ctypes.cast(each, ctypes.c_void_p).value for each in callbacks)


def _exists(path: str) -> bool:
    return _access(path, _THERE, follow_symlinks=False)
