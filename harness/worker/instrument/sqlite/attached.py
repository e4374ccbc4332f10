"""The database files that a connection has open: the names of each, and the transaction's state in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from harness.worker.instrument.files.paths import LINKED
from harness.worker.instrument.sqlite.native import NONE, WRITE, Native

__all__ = ["Attached", "File", "pending"]

_stat, _listdir, _readlink = os.stat, os.listdir, os.readlink
_DESCRIPTORS = "/proc/self/fd"


class File(NamedTuple):
    """A database file: SQLite's name for it (``main``, or that given to ATTACH), ours, its path and its inode."""

    schema: bytes
    name: str
    path: str
    inode: int


class Attached:
    """The files of one connection.

    ``keeps``: it was told to keep locks between transactions (``locking_mode``), so that the state of the transaction does not
    tell which it has. ``in_wal`` are the files of which it has the write-ahead log open.
    """

    def __init__(self, native: Native, handle: int, named: Callable[[str], str]) -> None:
        self._native, self._handle, self._named = native, handle, named
        self.files: tuple[File, ...] = ()
        self.keeps = False
        self.in_wal: set[str] = set()

    def know(self, found: Iterator[tuple[str, str]]) -> tuple[str, ...]:
        """Take *found*, schemas and paths, for the files that are open from now on; return their names."""
        self.files = tuple(File(schema.encode(), self._named(path), path, _inode(path)) for schema, path in found)
        return tuple(dict.fromkeys(file.name for file in self.files))

    def states(self) -> tuple[int, ...]:
        """Return the state of the transaction in each file."""
        native, handle = self._native, self._handle
        if len(self.files) == 1 and not self.keeps:
            state = native.state(handle, self.files[0].schema)
            return (state if state > NONE else NONE,)
        states = tuple([max(native.state(handle, file.schema), NONE) for file in self.files])
        return self._locked(states) if self.keeps else states

    def locked(self) -> tuple[int, ...]:
        """Return the states as the locks have them: a wait in BEGIN EXCLUSIVE is in no transaction, but keeps others out."""
        return self._locked(tuple([max(self._native.state(self._handle, file.schema), NONE) for file in self.files]))

    def shut(self, number: int) -> bool:
        """Return whether a lock on file *number* that is kept between transactions lets nobody begin to read it.

        Over a write-ahead log with ``locking_mode = EXCLUSIVE`` even a connection that only reads takes it.
        """
        return self.keeps and self._native.keeps_readers_out(self._handle, self.files[number].schema)

    def _locked(self, states: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(
            max(state, self._native.lock_state(self._handle, file.schema, file.name in self.in_wal))
            for file, state in zip(self.files, states, strict=True)
        )

    def none(self) -> tuple[int, ...]:
        """Return the states of a connection that is closed."""
        return (NONE,) * len(self.files)

    def names(self, file: File) -> tuple[str, ...]:
        """Return the names of *file*: the one at its opening, and another if it was renamed or has several."""
        try:
            info = _stat(file.path)
        except OSError:
            return file.name, *self._names_now(file)
        if info.st_ino != file.inode:
            return file.name, *self._names_now(file)
        return (file.name,) if info.st_nlink == 1 else (file.name, LINKED)

    def _names_now(self, file: File) -> Iterator[str]:
        for descriptor in _listdir(_DESCRIPTORS):
            try:
                if _stat(f"{_DESCRIPTORS}/{descriptor}").st_ino == file.inode:
                    path = _readlink(f"{_DESCRIPTORS}/{descriptor}")
                    if not path.endswith(" (deleted)"):
                        yield self._named(path)
                        return
            except OSError:
                continue


def _inode(path: str) -> int:
    try:
        return _stat(path).st_ino
    except OSError:
        return 0


def pending(state: int, before: int) -> bool:
    """Return whether to wait in *state*, in an operation that began in *before*, keeps others out."""
    return state == WRITE or state > before
