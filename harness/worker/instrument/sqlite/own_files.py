"""Which files SQLite opens, makes and deletes: databases, and its own beside them (``-journal``, ``-wal``, ``-shm``).

SQLite's layer over the operating system says so (``Native.tell_of_files``), whatever statement it was for. Its own files come
and go by reads and writes of a database. That matters to programs that list the directory or read the files, and not to
other connections. So it is an access of the mode ``a``, which conflicts with reads and writes but not with others of its kind.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, Protocol
from urllib.parse import unquote

from harness.worker.instrument.files.opening import Files
from harness.worker.instrument.files.paths import Shared, base_of
from harness.worker.instrument.sqlite.attached import Attached
from harness.worker.instrument.sqlite.native import Native
from harness.worker.runtime import Runtime

__all__ = ["SqliteFiles", "is_shared_memory", "path_of", "plain_path"]

_DATABASE, _JOURNAL, _WAL = 0x100, 0x800, 0x80000
"""``SQLITE_OPEN_MAIN_DB``, ``SQLITE_OPEN_MAIN_JOURNAL`` and ``SQLITE_OPEN_WAL``."""


class _Open(Protocol):
    attached: Attached


class SqliteFiles:
    """Reports SQLite's effects on directories."""

    def __init__(self, runtime: Runtime, native: Native, open_: Callable[[], Iterable[_Open]]) -> None:
        self._runtime, self._native, self._open = runtime, native, open_
        self._files: Files | None = None
        self._shared = Shared(runtime)
        self.journals = 0
        """How many rollback journals were opened. To change a journal mode that the file remembers always opens one."""

    def watch(self, files: Files) -> None:
        """Report from now on SQLite's files in the shared directory of *files*."""
        self._files, self._shared = files, files.shared
        self._native.tell_of_files(self._opened, self._deleted)

    def named(self, path: str) -> str:
        """Return the name of the database at *path*: relative to the shared directory; elsewhere, its last part."""
        name = self._shared.relative(path)
        return path.rpartition("/")[2] if name is None else name

    def needs_point(self, path: str) -> bool:
        """Return whether opening the database at *path* is to be a schedule point of its own.

        It is where it makes the file, and where the step under way has touched something: then others may come between. If
        not, it is as good as part of a step that depends on nobody.
        """
        if not path or not self._runtime.controlled:
            return False
        name = self._shared.relative(os.path.abspath(path))
        if name is None:
            return False
        if not self._shared.exists(name):
            return True
        for item in reversed(self._runtime.news):
            if item[0] == "passed":
                return False
            if item[0] == "access":
                return True
        return False

    def _name(self, path: str) -> str | None:
        runtime = self._runtime
        return self._shared.relative(path) if runtime.controlled and runtime.strand() is not None else None

    def _opened(self, path: str, flags: int, new: bool) -> None:
        name = self._name(path)
        if name is None:
            return
        self.journals += bool(flags & _JOURNAL)
        if flags & _WAL:
            base = base_of(name)
            for connection in self._open():
                if any(file.name == base for file in connection.attached.files):
                    connection.attached.in_wal.add(base)
        own = not flags & _DATABASE
        if new:
            self._told(name, "a" if own else "w")
        elif not own:
            touched = self._runtime.touched
            # SQLite has followed links before it opens: where there is no directory on the way, there is nothing on it.
            for resource, mode in self._shared.way_to(name) if "/" in name else ():
                touched(resource, mode)
            touched(f"name:{name}", "r")

    def written(self, name: str) -> None:
        """The file *name* may have been written: it was now, in virtual time."""
        if self._files is not None and self._runtime.controlled:
            self._files.stamp(name, parent=False)

    def _deleted(self, path: str) -> None:
        name = self._name(path)
        if name is not None:
            self._told(name, "a")
            if name.endswith("-wal"):  # what was in it is in the database now
                self.written(base_of(name))

    def _told(self, name: str, mode: str) -> None:
        touched = self._runtime.touched
        touched(f"data:{name}", mode)
        touched(f"list:{name.rpartition('/')[0] or '.'}", mode)
        if mode == "w":
            touched(f"name:{name}", mode)
        if self._files is not None:
            self._files.stamp(name, parent=True, itself=False)


def path_of(database: Any, uri: bool) -> str:
    """Return the path of the file that ``sqlite3.connect`` would open, an empty text if it is none."""
    try:
        text = os.fsdecode(database)
    except TypeError:
        return ""
    if uri and text.startswith("file:"):
        text, _, options = text[5:].partition("#")[0].partition("?")
        if "mode=memory" in options or "vfs=memdb" in options:
            return ""
        if text.startswith("//"):
            text = "/" + text[2:].partition("/")[2]
        text = unquote(text)
    return "" if text in ("", ":memory:") else text


def is_shared_memory(database: Any, options: Any) -> bool:
    """Return whether *database* is in memory, and other connections of the process may have it open too."""
    text = os.fsdecode(database) if options.get("uri") and isinstance(database, (str, bytes, os.PathLike)) else ""
    return "vfs=memdb" in text or ("cache=shared" in text and ("mode=memory" in text or ":memory:" in text))


def plain_path(database: Any, options: Any) -> str:
    """Return the path that the connection's handle must be open on, or an empty string where it can't be told."""
    if options.get("uri") or not isinstance(database, (str, os.PathLike)):
        return ""
    path = os.fspath(database)
    return "" if not isinstance(path, str) or path.startswith((":", "file:")) else path
