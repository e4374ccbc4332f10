"""Sets the clock of SQLite (``now`` in a statement) in the process that evaluates rules."""

from __future__ import annotations

import _sqlite3
import ctypes
from collections.abc import Callable
from ctypes import c_char_p, c_int, c_int64, c_void_p
from typing import Any

__all__ = ["SqliteClock"]

_CurrentTime = ctypes.CFUNCTYPE(c_int, c_void_p, ctypes.POINTER(c_int64))
_JULIAN_UNIX_EPOCH_MS = 210_866_760_000_000
"""1 January 1970 as SQLite counts time: in milliseconds since noon of 24 November 4714 BC."""


class _FileSystem(ctypes.Structure):
    """The C structure ``sqlite3_vfs`` (sqlite.org/c3ref/vfs.html), up to the field that tells the time."""

    _fields_ = (
        *((name, c_int) for name in ("version", "file_size", "longest_path")),
        ("next", c_void_p),
        ("name", c_char_p),
        *((f"field{number}", c_void_p) for number in range(13)),
        ("current_time_ms", c_void_p),
    )


class SqliteClock:
    """Makes SQLite's default file system tell the time of *wall_ns*, in nanoseconds since 1970, and undoes that."""

    def __init__(self, wall_ns: Callable[[], int]) -> None:
        find = ctypes.PyDLL(_sqlite3.__file__).sqlite3_vfs_find
        find.argtypes, find.restype = (c_char_p,), c_void_p
        self._system = _FileSystem.from_address(find(None))

        def current(_: object, out: Any) -> int:
            out[0] = _JULIAN_UNIX_EPOCH_MS + wall_ns() // 1_000_000
            return 0

        self._callback = _CurrentTime(current)
        self._ours = ctypes.cast(self._callback, c_void_p).value
        self._was = self._system.current_time_ms

    def put(self) -> None:
        """Make SQLite tell the time of *wall_ns*."""
        self._was = self._system.current_time_ms
        self._system.current_time_ms = self._ours

    def take_back(self) -> None:
        """Make SQLite tell the machine's time again."""
        self._system.current_time_ms = self._was
