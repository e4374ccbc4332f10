"""``os.scandir`` over shared directories: entries that are schedule points where the real ones ask the operating system."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from harness.worker.instrument.files.opening import Files

__all__ = ["Entry", "Listing", "scandir"]

_real = os.scandir


class Entry:
    """An ``os.DirEntry``. Its kind comes from the listing; everything else, and the target of a link, is looked up."""

    __slots__ = ("_asked", "_entry", "_files", "_rel")

    def __init__(self, files: Files, rel: str, entry: Any) -> None:
        self._files, self._rel, self._entry = files, rel, entry
        self._asked: set[bool] = set()

    def __repr__(self) -> str:
        return repr(self._entry)

    def __fspath__(self) -> Any:
        return self._entry.path

    @property
    def name(self) -> Any:
        """Its name."""
        return self._entry.name

    @property
    def path(self) -> Any:
        """Its path."""
        return self._entry.path

    def inode(self) -> int:
        """Return its number, which the listing has told."""
        return int(self._entry.inode())

    def is_symlink(self) -> bool:
        """Whether it is a symbolic link, as the listing has told."""
        return bool(self._entry.is_symlink())

    def is_junction(self) -> bool:
        """Whether it is a junction, which only another operating system has."""
        return False

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a directory, or a link to one."""
        return bool(self._kind(lambda: self._entry.is_dir(follow_symlinks=follow_symlinks), follow_symlinks))

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a regular file, or a link to one."""
        return bool(self._kind(lambda: self._entry.is_file(follow_symlinks=follow_symlinks), follow_symlinks))

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return the entry's ``os.stat`` result, which is looked up once."""
        follow = follow_symlinks and self._entry.is_symlink()
        found = self._once(lambda: self._entry.stat(follow_symlinks=follow_symlinks), follow)
        return self._files.looked_at(found)

    def _kind(self, run: Callable[[], Any], follow: bool) -> Any:
        return self._once(run, True) if follow and self._entry.is_symlink() else run()

    def _once(self, run: Callable[[], Any], follow: bool) -> Any:
        if follow in self._asked:
            return run()
        self._asked.add(follow)
        return self._files.read("stat", self._rel, run, follow=follow, stats=True)


class Listing:
    """The result of ``os.scandir``: an iterator and a context manager."""

    def __init__(self, entries: list[Any]) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._entries)

    def __enter__(self) -> Listing:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget the rest."""
        self._entries = iter(())


def scandir(files: Files) -> Callable[..., Any]:
    """Return the function that replaces ``os.scandir``."""

    def scandir(path: Any = None) -> Any:
        """List *path* as ``os.scandir`` does; the whole listing is read at once."""
        where = "." if path is None else path
        rel = files.shared.inside(where)
        if rel is None:
            return _real(where)

        def entries() -> list[Any]:
            with _real(where) as found:
                return list(found)

        prefix = "" if rel == "." else f"{rel}/"
        listed = files.read("scandir", rel, entries, listing=True)
        return Listing([Entry(files, prefix + os.fsdecode(entry.name), entry) for entry in listed])

    return scandir
