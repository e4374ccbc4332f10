"""The shared state of an execution: a directory on tmpfs that is put back from a template before each one."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from harness.control.file_times import TIMES, give_times, times_of
from harness.control.replica import collect, lay_out, names_in
from harness.control.room import check_room, no_room, short
from harness.epoch import EPOCH
from harness.history import History, Step
from harness.inherited import Inherited
from harness.tables import Tables, read_tables, rows_in

__all__ = ["World"]

_SQLITE = b"SQLite format 3\x00"
_BEGINNING = int(EPOCH * 1e9)
_REMEMBERED = 20_000

_IN_MEMORY = "\0memory"
"""What the memory that workers share is called in a snapshot."""


class World:
    """The files that workers share, with *inherited* memory, and a second directory in which invariants look at a copy."""

    tells_time = False
    """Whether rules can ask what keeps the shared state for the time."""

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
        self._times: list[tuple[str, tuple[int, int]]] = []
        self._now_ns = _BEGINNING
        # The kernel's clock for files is coarser than the one we read.
        self._made = time.time_ns() - 1_000_000_000
        self._database_files = {database, *(f"{database}-{kind}" for kind in ("journal", "wal", "shm"))}
        self.shows_times = False
        """Whether rules were ever shown when a file was changed."""
        self._likenesses: dict[int, int | None] = {}
        self._shared, self._seen = str(self.directory), str(self._copy)
        self.seen: tuple[str, ...] = (self._seen, str(self._copy_of_earlier))
        """The directories that rules are given."""

    def take_template(self) -> None:
        """Take what is in the directory now for the state in which executions begin."""
        self._inherited.take_template()
        self._template = self.files()
        self._template.pop(_IN_MEMORY, None)
        self._template.pop(TIMES, None)
        self._times = [(path, _times(path, self._made)) for path in self._paths()]

    def _paths(self) -> Iterator[str]:
        """Yield where everything in the template is, the directory itself last."""
        for name in names_in(self._template):
            yield f"{self._shared}/{name}"

    def reset(self) -> None:
        """Put the directory back as the template has it, with fresh files (nobody's old descriptor reaches them)."""
        self._inherited.reset()
        _restore(self._shared, self._template)
        for path, times in self._times:
            os.utime(path, ns=times, follow_symlinks=False)

    def snapshot(self) -> dict[str, bytes]:
        """Return the shared state as it is now."""
        return self.files()

    def files(self) -> dict[str, bytes]:
        """Return the bytes of every shared file by relative name, but for shared-memory indexes of write-ahead logs.

        All else that ``harness/control/replica.py`` tells of the directory is there too, and the memory that workers share.
        """
        found: dict[str, bytes] = {}
        if self._inherited.size:
            found[_IN_MEMORY] = self._inherited.read()
        collect(self._shared, found)
        if times := times_of(self._shared, self._made, self._database_files):
            found[TIMES] = times
            self.shows_times = True
        return found

    def observe(self, snapshot: dict[str, bytes], earlier: bool = False) -> Path:
        """Lay out *snapshot* aside and return the path of its database: looking at it takes nobody's lock.

        One that is *earlier* is laid out in a place of its own, so that two can be compared.
        """
        place = self._copy_of_earlier if earlier else self._copy
        snapshot = dict(snapshot)
        if _IN_MEMORY in snapshot:
            self._inherited.show(snapshot.pop(_IN_MEMORY))
        times = snapshot.pop(TIMES, b"")
        _restore(str(place), snapshot)
        give_times(str(place), times, self._now_ns)
        return place / self._name

    def content(self, snapshot: dict[str, bytes]) -> Iterator[bytes]:
        """Yield what is in *snapshot*, in an order and a form that tell equal content by being equal."""
        db = self.observe(snapshot)
        for name in sorted(snapshot):
            if not name.startswith(self._name) and name != TIMES:
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
        self._now_ns = _BEGINNING + int(now * 1e9)

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


def _times(path: str, made: int) -> tuple[int, int]:
    """Return the times of access and of change (ns) with which executions find what setup left at *path*.

    Those that setup gave it. What got its time by being made, after the real time *made*, is from when virtual time begins.
    """
    info = os.lstat(path)
    accessed, changed = info.st_atime_ns, info.st_mtime_ns
    return _BEGINNING if accessed >= made else accessed, _BEGINNING if changed >= made else changed


def _restore(root: str, files: dict[str, bytes]) -> None:
    try:
        lay_out(root, files)
    except OSError as error:
        raise no_room(root, error) from error
