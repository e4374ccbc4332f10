"""Audits the shared directory: compares the kernel's events on its files with the accesses that the steps reported.

Workers report the accesses of a step because the calls they make are replaced. A C library, or a call that nobody
thought of, reports nothing; the kernel does (inotify). Changes are audited in every execution; looks (reading and
opening), which are many more, in the first executions of a run and in one of so many after that. The audit misses reads
and writes through a mapping of a file, and calls that only ask for names, times or sizes (``stat``): neither makes an
event.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from harness.values.history import Step
from harness.values.names import Resource
from harness.values.uncontrolled import Touch

__all__ = ["Audit"]

_libc = ctypes.CDLL(None, use_errno=True)

_ACCESS, _MODIFY, _ATTRIB, _OPEN = 0x1, 0x2, 0x4, 0x20
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_OVERFLOW, _IGNORED, _IS_DIR = 0x4000, 0x8000, 0x40000000
_NAMES = _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_CHANGES = _MODIFY | _ATTRIB | _NAMES
_LOOKS = _ACCESS | _OPEN
_ONLY_DIR = 0x01000000
_NONBLOCK, _CLOSE_ON_EXEC = 0o4000, 0o2000000

_WORDS = {
    _MODIFY: "changed", _ATTRIB: "changed the times or the mode of", _MOVED_FROM: "renamed", _MOVED_TO: "renamed to",
    _CREATE: "made", _DELETE: "removed", _ACCESS: "read", _OPEN: "opened",
}  # fmt: skip
_HEAD = struct.Struct("iIII")
_MOST = 1 << 16

_LOOKS_FIRST, _LOOKS_EVERY = 20, 50
"""Looks are audited in the first 20 executions of a run and in every 50th after them."""

_OF_SQLITE = ("-journal", "-wal", "-shm")
"""Suffixes of the files that SQLite keeps beside a database; events on them belong to statements over the database."""
_USES_SQLITE = ("sql", "fetch", "commit", "rollback", "blob", "backup")
_UNNAMED = "(unnamed)"
_SUPER_JOURNAL = re.compile(r"-mj[0-9A-F]{6,9}$")
_MAGIC = b"SQLite format 3\x00"
_EVERYWHERE = ("data:hard links", "*")
"""Resources of steps that can't be compared: of a file with several names, and of anything at all."""


class _Event(NamedTuple):
    """An event on the file *path*, relative to the shared directory (``.`` is the directory itself)."""

    mask: int
    path: str


_TIMES_OF_ALL = _Event(_ATTRIB, ".")
_KEPT = 1_000
"""How many different reads are kept with their events, at most."""


class _Batch(NamedTuple):
    """The events of one read, and their paths, without the shared directory where only its times were set."""

    events: tuple[_Event, ...]
    paths: frozenset[str]


class Audit:
    """Listens to the kernel's events for one directory. ``off`` says why it can't; it is empty if it can."""

    def __init__(self, directory: str) -> None:
        self._root = directory.rstrip("/")
        self._watches: dict[int, str] = {}
        self._mask = _CHANGES
        self._executions = 0
        self._looks = False
        self._use_sqlite: set[int] = set()
        self._looked: dict[Touch, None] = {}
        """Looks at databases by workers that have not yet been seen to use SQLite under control."""
        self._databases: dict[str, bool] = {}
        self._read: dict[bytes, _Batch] = {}
        """Events by the bytes read from the kernel, valid while the same directories are watched."""
        self._scanned = False
        self.off = ""
        self._end: int = _libc.inotify_init1(_NONBLOCK | _CLOSE_ON_EXEC)
        if self._end < 0 or not self._watch("."):
            self.off = os.strerror(ctypes.get_errno())
            self.close()

    def __repr__(self) -> str:
        return f"<Audit of {self._root} {self.off or f'directories={len(self._watches)}'}>"

    def close(self) -> None:
        """Stop listening."""
        if self._end >= 0:
            os.close(self._end)
            self._end = -1

    @property
    def notes(self) -> tuple[str, ...]:
        """The note that there is no audit, and why; empty if there is one."""
        return (f"the audit of the shared directory, which can't be had here ({self.off})",) if self.off else ()

    # Around executions and steps

    def begin(self) -> None:
        """Begin an execution: drop the events of putting the directory back, and decide whether looks are audited."""
        if self._end < 0:
            return
        self._executions += 1
        self._databases.clear()
        looks = self._executions <= _LOOKS_FIRST or self._executions % _LOOKS_EVERY == 0
        self.forget()
        if looks != self._looks:
            self._looks, self._mask = looks, _CHANGES | _LOOKS if looks else _CHANGES
            for path in list(self._watches.values()):
                self._watch(path)

    def before(self) -> None:
        """Prepare for a step: while looks are audited, drop the events until now, which are the harness' own."""
        if self._looks:
            self.forget()

    def forget(self) -> None:
        """Drop all pending events."""
        while self._end >= 0:
            self._scanned = False
            self._news()
            if not self._scanned:
                break

    def untold(self, steps: Sequence[Step], worker: int) -> list[Touch]:
        """Return the touches since the last call that none of *steps*, which *worker* has just taken, reported."""
        if self._end < 0:
            return []
        if worker not in self._use_sqlite:
            self._note_use([step.kind for step in steps], worker)
        news = self._news()
        if not news:
            return []
        if worker in self._use_sqlite and all(map(self._is_all_of_sqlite, news)):
            return []
        events = dict.fromkeys(event for batch in news for event in batch.events)
        if self._scanned:
            # Scanning a new directory for subdirectories makes events of our own.
            self.forget()
        told = {(access.resource, access.mode) for step in steps for access in step.accesses}
        if any(resource in _EVERYWHERE for resource, _ in told):
            return []
        source = next((step.source for step in reversed(steps) if step.source is not None), None)
        place = f"{os.path.basename(source.file)}:{source.line}" if source is not None else ""
        found: dict[str, Touch] = {}
        for mask, path in sorted(events, key=lambda event: not event.mask & _CHANGES):
            if _is_told(mask, path, told) or self._by_sqlite(mask, path, worker) or self._has_no_name(path):
                continue
            kind = next(bit for bit in _WORDS if mask & bit)
            touch = Touch(f"library:/shared/{path}", _text(kind, path, place), worker, place)
            if mask & _LOOKS and self._is_of_sqlite(path):
                self._looked[touch] = None
            else:
                found.setdefault(path, touch)
        return list(found.values())

    def died(self, kinds: Iterable[str], worker: int) -> None:
        """Drop the events of a step in which *worker* died, which reports nothing; *kinds* are of its last points."""
        self._note_use(kinds, worker)
        self.forget()

    def _note_use(self, kinds: Iterable[str], worker: int) -> None:
        # The worker that replaces a killed one reports for itself how it opens its application.
        if any(kind in _USES_SQLITE or kind == "kill" for kind in kinds):
            self._use_sqlite.add(worker)

    def looked(self) -> list[Touch]:
        """End an execution: return the looks at databases if no worker has been seen to use SQLite under control.

        They are judged only now because connecting reads the beginning of the file, long before the first statement.
        """
        found, self._looked = list(self._looked), {}
        return [] if self._use_sqlite else found

    def _by_sqlite(self, mask: int, path: str, worker: int) -> bool:
        """Return whether the event is SQLite's doing for a controlled connection of *worker*, or means nothing.

        To open a directory without listing it reveals nothing. SQLite does so to sync the changes in it to disk.
        """
        uses_sqlite = worker in self._use_sqlite
        # The harness sets a directory's time to virtual time after a statement that made or removed a file in it.
        if (mask == _OPEN or (mask == _ATTRIB and uses_sqlite)) and os.path.isdir(f"{self._root}/{path}"):
            return True
        return uses_sqlite and self._is_of_sqlite(path)

    def _is_of_sqlite(self, path: str) -> bool:
        """Return whether *path* is a database (an empty file may become one), or a file that SQLite keeps beside one.

        SQLite reads and writes these when it sees fit, also in statements inside a transaction, which touch nothing
        that others can see. So events on them can't be compared with the accesses of single steps.
        """
        if path.endswith(_OF_SQLITE) or _SUPER_JOURNAL.search(path):
            return True
        known = self._databases.get(path)
        if known is None:
            try:
                descriptor = os.open(f"{self._root}/{path}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError:
                return False
            try:
                known = self._databases[path] = os.read(descriptor, len(_MAGIC)) in (_MAGIC, b"")
            except OSError:
                return False
            finally:
                os.close(descriptor)
        return known

    def _is_all_of_sqlite(self, batch: _Batch) -> bool:
        return all(map(self._is_of_sqlite, batch.paths))

    # What the kernel tells

    def _watch(self, path: str) -> bool:
        """Watch the directory *path*; return whether that was possible."""
        name = self._root if path == "." else f"{self._root}/{path}"
        number = _libc.inotify_add_watch(self._end, os.fsencode(name), self._mask | _ONLY_DIR)
        if number >= 0:
            if self._watches.get(number) != path:
                self._read.clear()
            self._watches[number] = path
        return bool(number >= 0)

    def _watch_all(self, path: str) -> None:
        """Watch the directory *path* and all directories below it."""
        if not self._watch(path):
            return
        self._scanned = True
        try:
            with os.scandir(f"{self._root}/{path}") as entries:
                inside = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            return
        for name in inside:
            self._watch_all(f"{path}/{name}")

    def _news(self) -> list[_Batch]:
        """Return the events since the last call, one batch for each read."""
        found: list[_Batch] = []
        while True:
            try:
                data = os.read(self._end, _MOST)
            except BlockingIOError:
                return found
            batch = self._read.get(data) or self._parsed(data)
            found.append(batch)
            # There was room for one more event, so the queue was empty: no need to ask once more.
            if len(data) < _MOST - 4096:
                return found

    def _has_no_name(self, path: str) -> bool:
        """Return whether *path* stands for a file without a name (``O_TMPFILE``), which nobody else can find."""
        base = path.rpartition("/")[2]
        return base.startswith("#") and base[1:].isdecimal() and not os.path.lexists(f"{self._root}/{path}")

    def _parsed(self, data: bytes) -> _Batch:
        """Return the events in *data*, and remember them if the same bytes will mean the same again."""
        events: list[_Event] = []
        at, lasting = 0, True
        while at < len(data):
            number, mask, _, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size + length
            if mask & _OVERFLOW:
                continue
            folder = self._watches.get(number)
            if mask & _IGNORED:
                self._forget_watch(number)
                lasting = False
                continue
            if folder is None:
                lasting = False
                continue
            name = os.fsdecode(data[at - length : at].rstrip(b"\0"))
            path = folder if not name else name if folder == "." else f"{folder}/{name}"
            if mask & _IS_DIR and name:
                self._directory(mask, path)
                lasting = False
            events.append(_Event(mask & ~_IS_DIR, path))
        batch = _Batch(tuple(events), frozenset(event.path for event in events if event != _TIMES_OF_ALL))
        if lasting and len(self._read) < _KEPT:
            self._read[data] = batch
        return batch

    def _forget_watch(self, number: int) -> None:
        if self._watches.pop(number, None) is not None:
            self._read.clear()

    def _directory(self, mask: int, path: str) -> None:
        """Watch a directory that has appeared at *path*, or stop watching one that was moved away."""
        if mask & _MOVED_FROM:
            for number, other in list(self._watches.items()):
                if other == path or other.startswith(f"{path}/"):
                    _libc.inotify_rm_watch(self._end, number)
                    self._forget_watch(number)
        elif mask & (_CREATE | _MOVED_TO):
            self._watch_all(path)


def _text(kind: int, path: str, place: str) -> str:
    since = ", in the step that began" if place else ""
    return f"{_WORDS[kind]} {path} in the shared directory by a way that the harness does not know{since}"


def _is_told(mask: int, path: str, told: Iterable[tuple[str, str]]) -> bool:
    """Return whether one of the accesses *told*, pairs of resource and mode, covers the event *mask* on *path*."""
    folder = path.rpartition("/")[0] or "."
    looks = not mask & _CHANGES
    for resource, mode in told:
        kind, name = Resource(resource).kind, Resource(resource).name
        if kind not in ("data", "list"):
            continue
        if (name == path or (name.endswith(_UNNAMED) and "#" in path)) and (looks or mode == "w"):
            return True
        if kind == "list" and name == folder and mode == "w" and mask & (_NAMES | _ATTRIB):
            return True
    return False
