"""The shared state of an execution: a directory on tmpfs that is put back from a template before each one."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from harness.control.room import check_room, no_room, short
from harness.epoch import EPOCH
from harness.history import History, Step
from harness.inherited import Inherited
from harness.tables import Tables, read_tables, rows_in

__all__ = ["World", "own_directory", "shared_directory"]

_PREFIX = "race-harness-"
_SQLITE = b"SQLite format 3\x00"
_MEMORY = Path("/dev/shm")
_LINK = "\0link"
"""Ends the name of a symbolic link in a snapshot, whose content is where it points; that of a directory ends with a slash."""

_REMEMBERED = 20_000

_IN_MEMORY = "\0memory"
"""What the memory that workers share is called in a snapshot."""


def shared_directory() -> Path:
    """Return where a fresh directory is to be made, on tmpfs where there is one; remove what dead controllers left.

    Not made yet: first there must be a fork server that removes it, whatever becomes of this process.
    """
    return own_directory(_MEMORY if os.access(_MEMORY, os.W_OK | os.X_OK) else Path(tempfile.gettempdir()))


def own_directory(root: Path) -> Path:
    """Return where in *root* this process may make a directory; remove those of processes that are gone."""
    _sweep(root)
    return root / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"


def _sweep(root: Path) -> None:
    for entry in root.glob(_PREFIX + "*"):
        owner = entry.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdecimal() and not Path("/proc", owner).exists():
            shutil.rmtree(entry, ignore_errors=True)


class World:
    """The files that workers share, with *inherited* memory, and a second directory in which invariants look at a copy."""

    def __init__(self, directory: Path, inherited: Inherited, database: str = "db.sqlite") -> None:
        self.directory = directory / "world"
        self._copy = directory / "observed"
        self._copy_of_earlier = directory / "observed-before"
        try:
            directory.mkdir(mode=0o700)
            for place in (self.directory, self._copy, self._copy_of_earlier):
                place.mkdir()
        except OSError as error:
            raise no_room(directory, error) from error
        check_room(directory)
        self.db, self._name = self.directory / database, database
        self._template: dict[str, bytes] = {}
        self._inherited = inherited
        self._dated = True
        self._likenesses: dict[int, int | None] = {}
        self._shared, self._seen = str(self.directory), str(self._copy)

    def take_template(self) -> None:
        """Take what is in the directory now for the state in which executions begin."""
        self._inherited.take_template()
        self._template = self.files()
        self._template.pop(_IN_MEMORY, None)
        # Who has only databases does not look at the times of files.
        self._dated = any(not name.startswith(self._name) for name in self._template) or not self._template

    def reset(self) -> None:
        """Put the directory back as the template has it, with fresh files (nobody's old descriptor reaches them)."""
        self._inherited.reset()
        _restore(self._shared, self._template)
        if self._dated:
            for name in (*self._template, ""):
                os.utime(f"{self._shared}/{name.removesuffix(_LINK)}", (EPOCH, EPOCH), follow_symlinks=False)

    def snapshot(self) -> dict[str, bytes]:
        """Return the shared state as it is now."""
        return self.files()

    def files(self) -> dict[str, bytes]:
        """Return the bytes of every shared file by relative name, but for shared-memory indexes of write-ahead logs.

        Directories and symbolic links are among them (see ``_LINK``), and the memory that workers share.
        """
        found: dict[str, bytes] = {}
        if self._inherited.size:
            found[_IN_MEMORY] = self._inherited.read()
        _collect(self._shared, "", found)
        return found

    def observe(self, snapshot: dict[str, bytes], earlier: bool = False) -> Path:
        """Lay out *snapshot* aside and return the path of its database: looking at it takes nobody's lock.

        One that is *earlier* is laid out in a place of its own, so that two can be compared.
        """
        place = self._copy_of_earlier if earlier else self._copy
        if _IN_MEMORY in snapshot:
            snapshot = dict(snapshot)
            self._inherited.show(snapshot.pop(_IN_MEMORY))
        _restore(str(place), snapshot)
        return place / self._name

    def content(self, snapshot: dict[str, bytes]) -> Iterator[bytes]:
        """Yield what is in *snapshot*, in an order and a form that tell equal content by being equal."""
        db = self.observe(snapshot)
        for name in sorted(snapshot):
            if not name.startswith(self._name):
                yield f"{name}\n{snapshot[name]!r}\n".encode()
        if db.exists():
            with closing(sqlite3.connect(db)) as connection:
                for line in connection.iterdump():
                    yield line.encode()

    def likeness(self) -> int | None:
        """Return a digest of the shared state that is equal where it is the same to everybody; None where none can be had.

        Of databases, what is in them, down to the numbers of rows, for the bytes tell how often they were written. Where there
        is a journal, whoever looks next must deal with it. Of locks in memory, how often each can be taken.
        """
        files = self.files()
        locks = tuple([self._inherited.count(number) for number in range(len(self._inherited.locks))])
        key = hash((tuple(files.items()), locks))
        if key not in self._likenesses:
            if len(self._likenesses) > _REMEMBERED:
                self._likenesses.clear()
            rows = rows_in(self.observe(files)) if self._name in files else None
            own = self._name, f"{self._name}-journal", f"{self._name}-wal"
            rest = [(name, bool(data) if name in own else data) for name, data in sorted(files.items())]
            self._likenesses[key] = None if rows is None and self._name in files else hash((rows, tuple(rest), locks))
        return self._likenesses[key]

    def tables(self, snapshot: dict[str, bytes]) -> Tables:
        """Return the tables in *snapshot*."""
        copy = self.observe(snapshot).parent
        return read_tables({name: copy / name for name in sorted(snapshot) if snapshot[name].startswith(_SQLITE)})

    def be(self, now: float) -> None:
        """It is *now*, in virtual seconds: have what tells the time beside the workers tell that."""

    def waits(self, since: float) -> None:
        """Somebody has begun to wait, at the real time *since*, for what decides beside the workers who goes on."""

    def settle(self, abandoned: list[int]) -> None:
        """Return when nothing goes on by itself any more for clients that are dead; take what has ended out of *abandoned*."""

    def pursue(self, sessions: list[int]) -> None:
        """Return when what may have been let go beside the workers, *sessions*, has gone as far as it goes by itself."""

    def ails(self, history: History, steps: list[Step]) -> str:
        """Return why what failed can't be laid to the code under test, if the place in which it ran has failed."""
        return short(self._shared, history.events, steps)

    def close(self) -> None:
        """There is nothing to end."""


def _collect(root: str, prefix: str, found: dict[str, bytes]) -> None:
    with os.scandir(root) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_symlink():
                found[name + _LINK] = os.fsencode(os.readlink(entry.path))
            elif entry.is_dir(follow_symlinks=False):
                found[name + "/"] = b""
                _collect(entry.path, name + "/", found)
            elif entry.is_file(follow_symlinks=False) and not name.endswith("-shm"):
                found[name] = _read(entry.path)


def _read(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return b""
    try:
        size = os.fstat(descriptor).st_size
        data = os.read(descriptor, size + 1)
        while len(data) < size and (more := os.read(descriptor, size - len(data))):
            data += more
        return data
    finally:
        os.close(descriptor)


def _restore(root: str, files: dict[str, bytes]) -> None:
    try:
        _lay_out(root, files)
    except OSError as error:
        raise no_room(root, error) from error


def _lay_out(root: str, files: dict[str, bytes]) -> None:
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
    for name, data in files.items():
        path = f"{root}/{name}"
        if name.endswith("/"):
            os.makedirs(path, exist_ok=True)
            continue
        if name.endswith(_LINK):
            os.symlink(data, path.removesuffix(_LINK))
            continue
        if "/" in name:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            written = os.write(descriptor, data) if data else 0
            while written < len(data):
                written += os.write(descriptor, data[written:])
        finally:
            os.close(descriptor)
