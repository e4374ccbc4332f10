"""Paths in the directory that workers share, and the resources that an operation on one of them accesses.

Every file is a resource ``data:PATH`` (its content and its existence), every directory also ``list:PATH`` (its
entries). To name a file is to read all directories and symbolic links on the way.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from stat import S_ISDIR, S_ISREG
from typing import Any

from harness.values.names import Resource
from harness.worker.runtime import Runtime

__all__ = ["LINKED", "Shared", "Touched", "base_of", "of_descriptor"]

Touched = tuple[str, str]
"""A resource, and ``r`` or ``w``."""

_MOST_LINKS = 40
_DELETED = " (deleted)"
LINKED = "hard links"
"""Content that has several names: an operation on one of them may touch the others."""

_SQLITE, _LEAST_DATABASE = b"SQLite format 3\x00", 512
_open, _read, _close = os.open, os.read, os.close
_readlink, _lstat, _getcwd, _fspath = os.readlink, os.lstat, os.getcwd, os.fspath
_BY_DESCRIPTOR = ("/proc/self/", "/proc/thread-self/", "/dev/fd/")
_realpath = os.path.realpath
_normpath, _join, _fstat = os.path.normpath, os.path.join, os.fstat


class Shared:
    """Knows the shared directory of the execution under way."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.root = ""
        self.elsewhere: Callable[[str], None] = lambda _: None
        """Told of each path outside the shared directory that is looked at."""

    def begin(self, root: str) -> None:
        """Take *root* for the shared directory from now on."""
        self.root = root.rstrip("/") + "/"

    def inside(self, path: Any, dir_fd: int | None = None) -> str | None:
        """Return *path* (or a descriptor's) as it reads from the shared directory.

        None if it lies elsewhere, or nothing is raced.
        """
        runtime = self._runtime
        controlled = runtime.controlled or runtime.aborting
        if not (controlled or runtime.opening) or not self.root:
            return None
        if isinstance(path, int):
            text = _named(of_descriptor(path))
        else:
            try:
                text = os.fsdecode(_fspath(path))
            except TypeError:
                return None
            if not text.startswith("/"):
                base = _getcwd() if dir_fd is None else of_descriptor(dir_fd)
                text = _join(base, text)
            text = _normpath(text)
            if text.startswith(_BY_DESCRIPTOR):
                text = _named(_realpath(text))
        relative = self.relative(text)
        if relative is not None and not controlled:
            runtime.unseen()
            return None
        return relative

    def relative(self, path: str) -> str | None:
        """Return the absolute *path* as it reads from the shared directory, None if it lies elsewhere."""
        return path[len(self.root) :] or "." if self.root and (path + "/").startswith(self.root) else None

    def looked_elsewhere(self, path: Any, dir_fd: int | None = None) -> None:
        """Tell that somebody looked at *path*, which lies outside the shared directory."""
        if (self._runtime.controlled or self._runtime.begun) and isinstance(path, (str, bytes, os.PathLike)):
            text = os.fsdecode(_fspath(path))
            if not text.startswith("/"):
                text = _join(_getcwd() if dir_fd is None else of_descriptor(dir_fd), text)
            self.elsewhere(_normpath(text))

    def exists(self, path: str) -> bool:
        """Return whether there is something at *path*, a dangling link included."""
        try:
            _lstat(self.root + path)
        except OSError:
            return False
        return True

    def real(self, path: str) -> str:
        """Return the absolute form of *path*."""
        return self.root + path

    def touches(
        self, path: str, mode: str, *, entry: bool = False, listing: bool = False, follow: bool = True
    ) -> list[Touched]:
        """Return the accesses of an operation on *path*.

        *mode* is its access to the file; *entry*: it creates or removes the name; *listing*: it reads the entries of a
        directory (or, with ``w``, needs them unchanged); *follow*: it follows symbolic links.
        """
        found: list[Touched] = []
        for link, is_last in self._steps(path, follow):
            found.append((f"data:{link}", mode if is_last else "r"))
            if is_last:
                found += self._shares(link, mode)
                if entry:
                    found += [(f"list:{link.rpartition('/')[0] or '.'}", "w"), (f"name:{link}", "w")]
                if listing:
                    found.append((f"list:{link}", mode))
        return found

    def way_to(self, path: str) -> list[Touched]:
        """Return the accesses that finding *path* takes: the directories and links on the way, without the file itself."""
        return [(f"data:{name}", "r") for name, is_last in self._steps(path, True) if not is_last]

    def folder_at(self, touched: list[Touched]) -> str | None:
        """Return the directory that *touched*, which ``touches`` said of a path, leads to; None if it leads to none."""
        path = next((Resource(name).name for name, _ in reversed(touched) if Resource(name).is_data), "")
        try:
            return path if S_ISDIR(_lstat(self.root + path).st_mode) else None
        except OSError:
            return None

    def _shares(self, path: str, mode: str) -> list[Touched]:
        """Return further accesses that come with one to the file at *path*: its other names, SQLite's files beside it."""
        if base := base_of(path):
            return [(f"data:{base}", mode), (f"data:{base}-wal", mode), *_schema(base, mode)]
        found: list[Touched] = []
        try:
            info = _lstat(self.root + path)
        except OSError:
            return found
        if S_ISREG(info.st_mode):
            if info.st_nlink > 1:
                found.append((f"data:{LINKED}", mode))
            if info.st_size >= _LEAST_DATABASE and _begins(self.root + path) == _SQLITE:
                found += [(f"data:{path}-wal", mode), *_schema(path, mode)]
        return found

    def _steps(self, path: str, follow: bool, links: int = 0) -> Iterator[tuple[str, bool]]:
        """Yield every name on the way to *path*, and whether it is the last."""
        parts = path.split("/")
        for number in range(1, len(parts) + 1):
            name, last = "/".join(parts[:number]), number == len(parts)
            target = _target(self.root + name) if (follow or not last) and links < _MOST_LINKS else None
            if target is None:
                yield name, last
                continue
            yield name, False
            text = _normpath(_join(self.root + name.rpartition("/")[0], target, *parts[number:]))
            if (text + "/").startswith(self.root):
                yield from self._steps(text[len(self.root) :] or ".", follow, links + 1)
            return

    def of_descriptor(self, descriptor: int, mode: str) -> list[Touched]:
        """Return the accesses of reading or writing through *descriptor*: the file under its present name."""
        path = self.inside(descriptor)
        if path is None:
            return []
        found = [(f"data:{path}", mode), *self._shares(path, mode)]
        parts = path.split("/")
        # It is where it is for as long as no directory on the way is renamed.
        found += [(f"data:{'/'.join(parts[:number])}", "r") for number in range(1, len(parts))]
        if _fstat(descriptor).st_nlink > 1 and (f"data:{LINKED}", mode) not in found:
            found.append((f"data:{LINKED}", mode))
        return found


def base_of(path: str) -> str:
    """Return the path of the database that the file at *path* belongs to by its name, an empty text if to none."""
    base, dash, kind = path.rpartition("-")
    return base if dash and kind in ("wal", "journal", "shm") else ""


def _schema(path: str, mode: str) -> list[Touched]:
    """Return that writing to the database at *path* may change its tables; nothing for reading it."""
    return [(f"schema:{path}", "w")] if mode == "w" else []


def of_descriptor(descriptor: int) -> str:
    """Return the path that an open *descriptor* has now, an empty text where it has none."""
    try:
        return _readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""


def _named(path: str) -> str:
    """Return the name that a file had before it was removed; one that never had any has the same everywhere."""
    if not path.endswith(_DELETED):
        return path
    folder, _, name = path.removesuffix(_DELETED).rpartition("/")
    return f"{folder}/(unnamed)" if name.startswith("#") else f"{folder}/{name}"


def _begins(path: str) -> bytes:
    """Return the first bytes of the file at *path*, leaving its time of access as it is where that is allowed."""
    for flags in (os.O_NOATIME, 0):
        try:
            descriptor = _open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
        except OSError:
            continue
        try:
            return _read(descriptor, len(_SQLITE))
        finally:
            _close(descriptor)
    return b""


def _target(path: str) -> str | None:
    try:
        return _readlink(path)
    except OSError:
        return None
