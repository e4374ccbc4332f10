"""What a worker knows of its connections and of the locks they hold, and what statements did to those locks."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable
from typing import Protocol

from harness.worker.instrument.sqlite_native import NONE, READ, WRITE, Native
from harness.worker.runtime import Runtime
from harness.worker.source import Place

__all__ = ["Databases", "Watched", "accesses"]


class Watched(Protocol):
    """An instrumented connection. ``handle`` is its ``sqlite3*`` while it is open, 0 afterwards.

    ``running``: a thread is inside SQLite with it, perhaps waiting for a lock, and holds the connection's mutex: whoever
    asked SQLite anything about it would wait for that thread.
    """

    handle: int
    files: tuple[str, ...]
    timeout: float
    running: bool
    opened: Place | None

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""

    def waits(self) -> bool:
        """Decide whether to try again for a lock."""

    def drop(self) -> None:
        """Close, from whatever thread."""


class Databases:
    """Every connection that this worker has open, and what is known of the locks each one holds."""

    def __init__(self, runtime: Runtime, native: Native) -> None:
        self.runtime, self.native = runtime, native
        self._open: dict[int, weakref.ref[Watched]] = {}
        self._holding: dict[int, tuple[weakref.ref[Watched], str]] = {}
        self._reported: tuple[str, ...] = ()
        self.outside = 0
        self.also_held: Callable[[], Iterable[str]] = tuple
        """Files on which the worker holds other locks than SQLite's."""
        native.waits = self._waits

    # What statements report

    def moved(self, connection: Watched, before: int, after: int, touched: list[tuple[str, str]]) -> None:
        """Report what a statement did to locks and data: *touched* as ``accesses`` says, and whether it let a lock go."""
        for file in connection.files:
            for resource, mode in touched:
                self.runtime.touched(f"{resource}:{file}", mode)
        if after < before:
            self.runtime.news.extend(("released", file) for file in connection.files)
        if after == NONE:
            self._holding.pop(id(connection), None)
        elif before == NONE:
            self._holding[id(connection)] = (weakref.ref(connection), connection.files[0])

    def settle(self) -> None:
        """Before the worker reports: notice locks let go without a statement, by a cursor or connection collected."""
        for key, (reference, file) in list(self._holding.items()):
            connection = reference()
            if connection is not None and connection.running:
                continue
            if connection is None or not connection.handle or self._let_go_of_all(connection):
                del self._holding[key]
                self._let_go(file)
        also = self.also_held()
        holds = tuple(sorted({*(file for _, file in self._holding.values()), *also})) if self._holding or also else ()
        if holds != self._reported:
            self._reported = holds
            self.runtime.news.append(("holds", holds))

    def _let_go_of_all(self, connection: Watched) -> bool:
        return not connection.in_transaction and self.native.state(connection.handle) == NONE

    def _let_go(self, file: str) -> None:
        self.runtime.touched(f"data:{file}", "w")
        self.runtime.touched(f"lock:{file}", "w")
        self.runtime.news.append(("released", file))

    # Opening and closing

    def opened(self, connection: Watched) -> None:
        """Know *connection* from now on, and wait for locks on its behalf."""
        self._open[connection.handle] = weakref.ref(connection)
        self.watch(connection)

    def closed(self, connection: Watched) -> None:
        """Forget *connection*, whose handle is closed."""
        self._open.pop(connection.handle, None)
        connection.handle = 0

    def watch(self, connection: Watched) -> None:
        """Have SQLite ask here when *connection* meets a lock; with no time-out it is refused at once, as without us."""
        self.native.watch(connection.handle, connection.timeout > 0)

    def _waits(self, handle: int) -> bool:
        reference = self._open.get(handle)
        connection = reference() if reference is not None else None
        return connection is not None and connection.waits()

    def still_open(self) -> list[Watched]:
        """Return the connections that are open."""
        return [connection for reference in self._open.values() if (connection := reference()) is not None]

    def in_transaction(self) -> list[str]:
        """Return a description of every connection that is still in a transaction."""
        return sorted(_described(connection) for connection in self.still_open() if connection.in_transaction)

    @property
    def none_open(self) -> bool:
        """Whether no connection to a file is open."""
        return not self._open

    def close_all(self) -> None:
        """Close what the code under test left open, whichever thread it belongs to."""
        if self._open:
            for connection in self.still_open():
                connection.drop()
            self._open.clear()
        self._holding.clear()
        self._reported = ()


def _described(connection: Watched) -> str:
    if connection.opened is None:
        return connection.files[0]
    file, line = connection.opened[:2]
    return f"{connection.files[0]} opened at {os.path.basename(file)}:{line}"


def accesses(before: int, after: int, wrote: bool, failed: bool, excludes: bool = False) -> list[tuple[str, str]]:
    """Return what a statement touched, given its connection's transaction state *before* and *after* it.

    ``data`` is the committed content together with the shared locks that protect reading it; ``lock`` the
    right to write. Beginning or ending a read touches ``data`` as a reader; committing or undoing writes both.
    *wrote* says that the statement changes what others see, *excludes* that it keeps readers out from its beginning
    (BEGIN EXCLUSIVE). One that *failed* on a lock has looked at what refused it: at the readers too, if it would
    have written. A statement inside a transaction that already holds what it needs touches nothing that anybody else
    can see.
    """
    if failed:
        if before == WRITE and after != WRITE:
            return [("data", "w"), ("lock", "w")]
        looked = wrote or excludes or before == WRITE
        return [("data", "w" if looked else "r"), ("lock", "w" if after != before else "r")]
    if after == WRITE:
        touched = [("data", "w")] if wrote or excludes else []
        return touched if before == WRITE else [*(touched or [("data", "r")]), ("lock", "w")]
    if before == WRITE or wrote:
        return [("data", "w"), ("lock", "w")]
    if before == after == READ:
        return []
    return [("data", "r")]
