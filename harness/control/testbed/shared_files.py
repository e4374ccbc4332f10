"""The shared state of an execution: a directory on tmpfs, restored from a template before each one."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from harness.boundary.epoch import EPOCH
from harness.boundary.inherited_locks import Inherited
from harness.control.testbed.disk_space import check_room, no_room, short
from harness.control.testbed.file_times import TIMES, give_times, times_of
from harness.control.testbed.replica import collect, lay_out, names_in
from harness.values.history import History, Step
from harness.values.tables import Tables, read_tables, rows_in

__all__ = ["SharedState"]

_SQLITE = b"SQLite format 3\x00"
_BEGINNING = int(EPOCH * 1e9)
_REMEMBERED = 20_000

_IN_MEMORY = "\0memory"
"""The name in a snapshot of the memory that workers share."""


class SharedState:
    """The files and the *inherited* memory that workers share, and a second directory in which rules see a copy."""

    tells_time = False
    """Whether rules can ask the store of the shared state, such as a database server, for the time."""

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
        # The kernel's clock for files is coarser than this one, and lags behind it: a second is on the safe side.
        self._made = time.time_ns() - 1_000_000_000
        self._database_files = {database, *(f"{database}-{kind}" for kind in ("journal", "wal", "shm"))}
        self.shows_times = False
        """Whether a snapshot ever had times at which files were changed, for rules to see."""
        self._likenesses: dict[int, int | None] = {}
        self._shared, self._seen = str(self.directory), str(self._copy)
        self.seen: tuple[str, ...] = (self._seen, str(self._copy_of_earlier))
        """The directories that rules are given."""

    def take_template(self) -> None:
        """Take the present content of the directory for the state in which executions begin."""
        self._inherited.take_template()
        self._template = self.files()
        # These two are put back by other means: by ``Inherited``, and from ``_times``.
        self._template.pop(_IN_MEMORY, None)
        self._template.pop(TIMES, None)
        self._times = [(path, _times(path, self._made)) for path in self._paths()]

    def _paths(self) -> Iterator[str]:
        """Yield the path of every entry of the template, the directory itself last."""
        for name in names_in(self._template):
            yield f"{self._shared}/{name}"

    def reset(self) -> None:
        """Restore the directory from the template, with fresh files that no old descriptor reaches."""
        self._inherited.reset()
        _restore(self._shared, self._template)
        for path, times in self._times:
            os.utime(path, ns=times, follow_symlinks=False)

    def snapshot(self) -> dict[str, bytes]:
        """Return the shared state as it is now."""
        return self.files()

    def files(self) -> dict[str, bytes]:
        """Return the bytes of every shared file by relative name, except shared-memory indexes of write-ahead logs.

        Everything else that ``harness/control/testbed/replica.py`` reads of the directory is there, too; so are the memory that
        workers share and the times at which files were changed, in virtual time.
        """
        found: dict[str, bytes] = {}
        if self._inherited.size:
            found[_IN_MEMORY] = self._inherited.read()
        collect(self._shared, found)
        if times := times_of(self._shared, self._made, self._database_files):
            found[TIMES] = times
            self.shows_times = True
        return found

    def observe(self, snapshot: dict[str, bytes], *, earlier: bool = False) -> Path:
        """Write *snapshot* into a separate directory, and return the path of its database.

        Looking at that copy takes no lock that workers could meet. An *earlier* state has a directory of its own, so
        that two states can be compared.
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
        """Yield the content of *snapshot* in an order and a form that are equal for equal content."""
        db = self.observe(snapshot)
        for name in sorted(snapshot):
            if not name.startswith(self._name) and name != TIMES:
                yield f"{name}\n{snapshot[name]!r}\n".encode()
        if db.exists():
            with closing(sqlite3.connect(db)) as connection:
                for line in connection.iterdump():
                    yield line.encode()

    def fingerprint(self) -> int | None:
        """Return a hash of the shared state that is equal if workers can see no difference; None if it can't be told.

        Of a database, it covers the content, down to the ids of rows, but not the bytes: these differ with the
        number of writes. Whether it has a journal counts, for the next connection must deal with that. Of a lock in
        memory, it covers how often the lock can be taken.
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

    def set_time(self, now: float) -> None:
        """Set the virtual clock of files, and of services outside the workers, to *now* (seconds)."""
        self._now_ns = _BEGINNING + int(now * 1e9)

    def waits(self, since: float) -> None:
        """Let an external service notice that a session waits since the real time *since*; there is none here."""

    def settle(self, abandoned: list[int]) -> None:
        """Wait until the sessions *abandoned* by dead workers end or block; remove those that ended. A no-op here."""

    def await_unblocked(self, sessions: list[int]) -> None:
        """Wait until *sessions*, which may just have been unblocked, finish or block again. A no-op here."""

    def environment_failure(self, history: History, steps: list[Step]) -> str:
        """Return why the environment, not the code under test, failed; an empty string if it did not."""
        return short(self._shared, history.events, steps)

    def close(self) -> None:
        """Release external services; there are none here."""


def _times(path: str, made: int) -> tuple[int, int]:
    """Return the times of access and of change (ns) that executions are to find at *path*, which setup left.

    A time that setup has set is kept. A time that is not before the real time *made* came from making or using the
    file; the beginning of virtual time takes its place.
    """
    info = os.lstat(path)
    accessed, changed = info.st_atime_ns, info.st_mtime_ns
    return _BEGINNING if accessed >= made else accessed, _BEGINNING if changed >= made else changed


def _restore(root: str, files: dict[str, bytes]) -> None:
    try:
        lay_out(root, files)
    except OSError as error:
        raise no_room(root, error) from error
