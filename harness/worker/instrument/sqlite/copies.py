"""Schedule points in functions that copy whole databases: ``backup``, ``serialize`` and ``deserialize``."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Protocol

from harness.boundary import messages
from harness.worker.instrument.sqlite.attached import Attached
from harness.worker.instrument.sqlite.databases import Databases, accesses
from harness.worker.instrument.sqlite.native import NONE
from harness.worker.source import Place, where

__all__ = ["backup", "deserialize", "serialize"]

_backup = sqlite3.Connection.backup
_serialize = getattr(sqlite3.Connection, "serialize", None)
_deserialize = getattr(sqlite3.Connection, "deserialize", None)

Progress = Callable[[int, int, int], object]


class _Connection(Protocol):
    databases: Any
    handle: int
    files: tuple[str, ...]
    attached: Attached
    running: bool

    def begins(self) -> None: ...

    def point(self, kind: str, text: str, detail: str, run: Callable[[], Any], place: Place | None) -> Any: ...

    def look_at_files(self) -> None: ...


def backup(
    source: Any,
    target: Any,
    *,
    pages: int = -1,
    progress: Progress | None = None,
    name: str = "main",
    sleep: float = 0.250,
) -> None:
    """Stand in for ``Connection.backup``; each step of *pages* is a schedule point that reads *source*."""
    databases: Databases = source.databases
    runtime = databases.runtime
    files = [*source.files, *(getattr(target, "files", ()))]
    if not files or not (runtime.controlled or runtime.aborting):
        databases.outside += bool(files)
        _backup(source, target, pages=pages, progress=progress, name=name, sleep=sleep)
        return
    if target is source:
        raise ValueError("target cannot be the same connection instance")
    place = where(2)
    written = _Written(target, databases) if getattr(target, "files", ()) else None
    text = f"backup of {', '.join(source.files) or 'memory'} to {', '.join(getattr(target, 'files', ())) or 'memory'}"

    def stepped(status: int, remaining: int, total: int) -> None:
        refused = status not in (sqlite3.SQLITE_OK, sqlite3.SQLITE_DONE)
        for file in source.files:
            runtime.touched(f"data:{file}", "r")
            runtime.news.extend([("released", file)])
        if written is not None:
            written.step(refused)
        if progress is not None:
            progress(status, remaining, total)
        if refused or remaining:
            runtime.park("backup", f"{text}, {remaining} of {total} pages left", "", place)
            source.begins()
            if written is not None:
                written.begins()

    runtime.park("backup", text, "", place)
    source.begins()
    if written is not None:
        written.begins()
    source.running = True
    try:
        handle = databases.native.handle(target, "")[0]
        databases.native.backup(source.handle, handle, name=name, pages=pages or -1, stepped=stepped, seconds=sleep)
    except sqlite3.Error as error:
        runtime.news.append(messages.error(f"{type(error).__name__}: {error}"))
        raise
    finally:
        source.running = False
        for file in source.files:
            runtime.touched(f"data:{file}", "r")
        if written is not None:
            written.step(False)


class _Written:
    """The writes of a backup to the file of its target, which it keeps locked from its first step to its last."""

    def __init__(self, target: _Connection, databases: Databases) -> None:
        self._target, self._databases = target, databases
        self._before = target.attached.states()

    def begins(self) -> None:
        self._target.begins()
        self._target.running = True
        self._before = self._target.attached.states()

    def step(self, refused: bool) -> None:
        target = self._target
        target.running = False
        after = target.attached.states()
        for file, before, state in zip(target.attached.files, self._before, after, strict=True):
            touched = [*accesses(before, state, not refused, refused, not refused), ("schema", "w")]
            self._databases.moved(target, file.name, (before, state), touched)  # type: ignore[arg-type]
        self._before = after


def serialize(connection: Any, *, name: str = "main") -> bytes:
    """Stand in for ``Connection.serialize``: a schedule point that reads the whole database."""
    assert _serialize is not None
    run = _serialize
    return bytes(connection.point("backup", "serialize", "", lambda: run(connection, name=name), where(2)))


def deserialize(connection: Any, data: Any, /, *, name: str = "main") -> None:
    """Stand in for ``Connection.deserialize``: afterwards the connection has the database *name* in memory, not in its file."""
    assert _deserialize is not None
    run = _deserialize
    states = connection.attached.states()
    connection.point("backup", "deserialize", "", lambda: run(connection, data, name=name), where(2))
    before = connection.attached.files
    connection.look_at_files()
    for file, state in zip(before, states, strict=True):
        if state != NONE and file.name not in connection.files:
            connection.databases.moved(connection, file.name, (state, NONE), accesses(state, NONE, True, False))
