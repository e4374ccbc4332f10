"""Schedule points in locks on files: ``fcntl.flock`` and ``fcntl.lockf``.

The kernel's real locks. A call that would wait asks without waiting, parks while it is refused, and asks again when
somebody may have let the lock go.
"""

from __future__ import annotations

import errno
import fcntl
import math
from collections.abc import Callable
from typing import Any

from harness.worker.instrument.paths import Shared, Touched
from harness.worker.rebind import Replacement
from harness.worker.runtime import Aborted, Runtime
from harness.worker.source import where

__all__ = ["FileLocks", "replacements"]

_flock, _lockf = fcntl.flock, fcntl.lockf
_REFUSED = (errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN)


class FileLocks:
    """Which locks on shared files this worker holds."""

    def __init__(self, runtime: Runtime, shared: Shared) -> None:
        self._runtime, self._shared = runtime, shared
        self._flocks: dict[int, str] = {}
        self._records: dict[str, int] = {}

    def held(self) -> set[str]:
        """Return the files on which this worker holds a lock."""
        return {*self._flocks.values(), *self._records}

    def forget(self) -> None:
        """The execution is over: its files are gone, and their locks with them."""
        self._flocks.clear()
        self._records.clear()

    @staticmethod
    def footprint(path: str) -> list[Touched]:
        """Return what it touches to take a lock on *path*, or to let it go."""
        return [(f"lock:{path}", "w")]

    def let_go_by_closing(self, descriptor: int) -> str | None:
        """Return the path of the lock that closing *descriptor* lets go. Record locks go with any descriptor of their file."""
        if (path := self._flocks.get(descriptor)) is not None:
            return path
        path = self._shared.inside(descriptor) if self._records else None
        return path if path in self._records else None

    def closed(self, descriptor: int, path: str) -> None:
        """*descriptor* of the file *path* was closed."""
        self._flocks.pop(descriptor, None)
        self._records.pop(path, None)
        self._runtime.news.append(("released", path))

    def flock(self, file: Any, operation: int) -> Any:
        """Do what ``fcntl.flock`` does."""
        descriptor = _descriptor(file)
        path = self._shared.inside(descriptor)
        if path is None:
            return _flock(file, operation)
        if operation & fcntl.LOCK_UN:
            self._let_go(f"unlock {path}", path, lambda: _flock(descriptor, operation))
            self._flocks.pop(descriptor, None)
            return None
        shared = bool(operation & fcntl.LOCK_SH)
        loses = descriptor in self._flocks
        self._take(path, shared, operation, loses, lambda: _flock(descriptor, operation | fcntl.LOCK_NB))
        self._flocks[descriptor] = path
        return None

    def lockf(self, file: Any, operation: int, *where_: int) -> Any:
        """Do what ``fcntl.lockf`` does: whatever part of the file is locked, it touches the lock of the whole."""
        descriptor = _descriptor(file)
        path = self._shared.inside(descriptor)
        if path is None:
            return _lockf(file, operation, *where_)
        if operation & fcntl.LOCK_UN:
            self._let_go(f"unlock {path}", path, lambda: _lockf(descriptor, operation, *where_))
            self._records.pop(path, None)
            return None
        shared = bool(operation & fcntl.LOCK_SH)
        self._take(
            path, shared, operation, path in self._records,
            lambda: _lockf(descriptor, operation | fcntl.LOCK_NB, *where_),
        )  # fmt: skip
        self._records[path] = descriptor
        return None

    def _take(self, path: str, shared: bool, operation: int, loses: bool, try_: Callable[[], Any]) -> None:
        """Take a lock on *path*; *loses*: another one on it is given up, even if this one is refused."""
        runtime = self._runtime
        waits = not operation & fcntl.LOCK_NB
        text = f"lock {path}{' shared' if shared else ''}{'' if waits else ' without waiting'}"
        runtime.park("flock", text, "", where(3))
        while True:
            try:
                try_()
                break
            except OSError as error:
                if error.errno not in _REFUSED:
                    raise
                if loses:
                    runtime.touched(f"lock:{path}", "w")
                    runtime.news.append(("released", path))
                if not waits:
                    runtime.touched(f"lock:{path}", "r")
                    runtime.news.append(("busy", (path,)))
                    runtime.news.append(("error", f"{type(error).__name__}: {error.strerror}"))
                    raise
            if not runtime.block((path,), math.inf):
                raise Aborted
        runtime.touched(f"lock:{path}", "r" if shared and not loses else "w")
        if loses:
            runtime.news.append(("released", path))

    def _let_go(self, text: str, path: str, run: Callable[[], Any]) -> None:
        self._runtime.park("flock", text, "", where(3))
        run()
        for resource, mode in self.footprint(path):
            self._runtime.touched(resource, mode)
        self._runtime.news.append(("released", path))


def _descriptor(file: Any) -> int:
    return file if isinstance(file, int) else int(file.fileno())


def replacements(locks: FileLocks) -> list[Replacement]:
    """Return what puts the schedule points over ``fcntl``."""
    return [
        Replacement(_flock, locks.flock, fcntl, "flock"),
        Replacement(_lockf, locks.lockf, fcntl, "lockf"),
    ]
