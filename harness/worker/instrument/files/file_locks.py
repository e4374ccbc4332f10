"""Schedule points in locks on files: ``fcntl.flock``, ``fcntl.lockf``, ``os.lockf``, and those that ``fcntl.fcntl`` takes.

The kernel's real locks. A call that would wait asks without waiting, parks while it is refused, and asks again when
somebody may have let the lock go.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import struct
from collections.abc import Callable
from typing import Any

from harness.boundary import messages
from harness.worker.instrument.files.paths import LINKED, Shared
from harness.worker.runtime import Aborted, Runtime
from harness.worker.source import where
from harness.worker.virtual.rebind import Replacement

__all__ = ["FileLocks", "replacements"]

_flock, _lockf, _fcntl, _os_lockf = fcntl.flock, fcntl.lockf, fcntl.fcntl, os.lockf
_stat = os.fstat
_OF_PROCESS = {fcntl.F_SETLK: fcntl.F_SETLK, fcntl.F_SETLKW: fcntl.F_SETLK}
_OF_DESCRIPTION = {38: 37, 37: 37}
"""``F_OFD_SETLKW`` and ``F_OFD_SETLK``, which Python names since 3.9 only where the C library did."""
_ASKING = (fcntl.F_GETLK, 36)
_REFUSED = (errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN)


class FileLocks:
    """Which locks on shared files this worker holds."""

    def __init__(self, runtime: Runtime, shared: Shared) -> None:
        self._runtime, self._shared = runtime, shared
        self._flocks: dict[int, str] = {}
        self._records: dict[int, str] = {}

    def held(self) -> set[str]:
        """Return the files on which this worker holds a lock."""
        return {*self._flocks.values(), *self._records.values()}

    def forget(self) -> None:
        """The execution is over: its files are gone, and their locks with them."""
        self._flocks.clear()
        self._records.clear()

    def let_go_by_closing(self, descriptor: int) -> str | None:
        """Return the path of the lock that closing *descriptor* lets go. Record locks go with any descriptor of their file."""
        if (path := self._flocks.get(descriptor)) is not None:
            return path
        if self._records and self._shared.inside(descriptor) is not None:
            return self._records.get(_stat(descriptor).st_ino)
        return None

    def close(self, descriptor: int, path: str, run: Callable[[], Any]) -> tuple[str, ...]:
        """Close *descriptor* by *run*, which releases its lock on the file *path*; return the names of that lock."""
        names, inode = self._names(descriptor, path), _stat(descriptor).st_ino
        self._found_at(descriptor)
        try:
            run()
        finally:
            self._flocks.pop(descriptor, None)
            self._records.pop(inode, None)
            self._gone(names)
        return names

    def flock(self, file: Any, operation: int) -> Any:
        """Stand in for ``fcntl.flock``."""
        descriptor = _descriptor(file)
        path = self._shared.inside(descriptor)
        if path is None:
            return _flock(file, operation)
        if operation & fcntl.LOCK_UN:
            self._let_go(descriptor, path, lambda: _flock(descriptor, operation))
            self._flocks.pop(descriptor, None)
            return None
        how = bool(operation & fcntl.LOCK_SH), not operation & fcntl.LOCK_NB, descriptor in self._flocks
        self._take(descriptor, path, how, lambda: _flock(descriptor, operation | fcntl.LOCK_NB))
        self._flocks[descriptor] = path
        return None

    def lockf(self, file: Any, operation: int, *where_: int) -> Any:
        """Stand in for ``fcntl.lockf``; a lock on a part of a file counts as one on the whole."""
        descriptor = _descriptor(file)
        path = self._shared.inside(descriptor)
        if path is None:
            return _lockf(file, operation, *where_)
        if operation & fcntl.LOCK_UN:
            self._let_go(descriptor, path, lambda: _lockf(descriptor, operation, *where_))
            if not any(where_):
                self._records.pop(_stat(descriptor).st_ino, None)
            return None
        inode = _stat(descriptor).st_ino
        how = bool(operation & fcntl.LOCK_SH), not operation & fcntl.LOCK_NB, inode in self._records
        self._take(descriptor, path, how, lambda: _lockf(descriptor, operation | fcntl.LOCK_NB, *where_))
        self._records[inode] = path
        return None

    def os_lockf(self, fd: int, command: int, length: int, /) -> None:
        """Stand in for ``os.lockf``, which locks records from the descriptor's position on."""
        path = self._shared.inside(fd)
        if path is None:
            _os_lockf(fd, command, length)
        elif command == os.F_ULOCK:
            self._let_go(fd, path, lambda: _os_lockf(fd, command, length))
        elif command == os.F_TEST:
            self._ask(fd, path, lambda: _os_lockf(fd, command, length))
        else:
            inode = _stat(fd).st_ino
            how = False, command == os.F_LOCK, inode in self._records
            self._take(fd, path, how, lambda: _os_lockf(fd, os.F_TLOCK, length))
            self._records[inode] = path

    def fcntl(self, file: Any, command: int, argument: Any = 0, /) -> Any:
        """Stand in for ``fcntl.fcntl``; its commands for locks are schedule points."""
        takes = {**_OF_PROCESS, **_OF_DESCRIPTION}.get(command)
        descriptor = _descriptor(file) if takes is not None or command in _ASKING else -1
        path = self._shared.inside(descriptor) if descriptor >= 0 else None
        if path is None or not isinstance(argument, (bytes, bytearray)):
            return _fcntl(file, command, argument)
        if takes is None:
            return self._ask(descriptor, path, lambda: _fcntl(descriptor, command, argument))
        (kind,) = struct.unpack_from("h", argument)
        held = self._records if command in _OF_PROCESS else self._flocks
        key = _stat(descriptor).st_ino if command in _OF_PROCESS else descriptor
        if kind == fcntl.F_UNLCK:
            return self._let_go(descriptor, path, lambda: _fcntl(descriptor, command, argument))
        how = kind == fcntl.F_RDLCK, command not in (fcntl.F_SETLK, 37), key in held
        found = self._take(descriptor, path, how, lambda: _fcntl(descriptor, takes, argument))
        held[key] = path
        return found

    def _names(self, descriptor: int, path: str) -> tuple[str, ...]:
        """Return the names of the lock on the file of *descriptor*, now at *path*: the one it was taken by, and others."""
        info = _stat(descriptor)
        was = self._flocks.get(descriptor) or self._records.get(info.st_ino) or path
        now = self._shared.inside(descriptor) or path
        return tuple(dict.fromkeys((path, was, now, *((LINKED,) if info.st_nlink > 1 else ()))))

    def _ask(self, descriptor: int, path: str, run: Callable[[], Any]) -> Any:
        self._runtime.park("flock", f"look whether {path} is locked", "", where(3))
        self._found_at(descriptor)
        for name in self._names(descriptor, path):
            self._runtime.touched(f"lock:{name}", "r")
        return run()

    def _take(self, descriptor: int, path: str, how: tuple[bool, bool, bool], try_: Callable[[], Any]) -> Any:
        """Take a lock on *path*. *how*: whether for reading, whether it waits, whether another one on it is given up for it.

        What is given up is gone even if the new one is refused.
        """
        runtime, (shared, waits, loses) = self._runtime, how
        text = f"lock {path}{' shared' if shared else ''}{'' if waits else ' without waiting'}"
        runtime.park("flock", text, "", where(3))
        while True:
            names = self._names(descriptor, path)
            try:
                found = try_()
                break
            except OSError as error:
                if error.errno not in _REFUSED:
                    raise
                if loses:
                    self._gone(names)
                if not waits:
                    self._found_at(descriptor)
                    for name in names:
                        runtime.touched(f"lock:{name}", "r")
                    runtime.news.append(messages.busy(names))
                    runtime.news.append(messages.error(f"{type(error).__name__}: {error.strerror}"))
                    raise
            for name in names:
                # A task that waits has seen that another holds the lock, even if it waits to the end of the execution.
                runtime.touched(f"lock:{name}", "r")
            if not runtime.block(names, math.inf):
                raise Aborted
        self._found_at(descriptor)
        for name in names:
            runtime.touched(f"lock:{name}", "r" if shared and not loses else "w")
            if loses:
                runtime.news.append(messages.released(name))
        return found

    def _found_at(self, descriptor: int) -> None:
        """Report reads of the resources that decide the names of the lock of *descriptor*: the present path of its file."""
        path = self._shared.inside(descriptor)
        if path is not None:
            for resource, mode in [*self._shared.way_to(path), (f"name:{path}", "r")]:
                self._runtime.touched(resource, mode)

    def _gone(self, names: tuple[str, ...]) -> None:
        for name in names:
            self._runtime.touched(f"lock:{name}", "w")
            self._runtime.news.append(messages.released(name))

    def _let_go(self, descriptor: int, path: str, run: Callable[[], Any]) -> Any:
        self._runtime.park("flock", f"unlock {path}", "", where(3))
        names = self._names(descriptor, path)
        self._found_at(descriptor)
        found = run()
        self._gone(names)
        return found


def _descriptor(file: Any) -> int:
    return file if isinstance(file, int) else int(file.fileno())


def replacements(locks: FileLocks) -> list[Replacement]:
    """Return the replacements that put the schedule points into ``fcntl``."""
    return [
        Replacement(_flock, locks.flock, fcntl, "flock"),
        Replacement(_lockf, locks.lockf, fcntl, "lockf"),
        Replacement(_os_lockf, locks.os_lockf, os, "lockf"),
        Replacement(_fcntl, locks.fcntl, fcntl, "fcntl"),
    ]
