"""The connections of a worker, the locks that they hold, and the effects of statements on these locks."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable
from typing import Protocol

from harness.boundary import messages
from harness.boundary.wire import Message
from harness.worker.instrument.sqlite.attached import Attached
from harness.worker.instrument.sqlite.native import NONE, READ, WRITE, Native
from harness.worker.instrument.sqlite.own_files import SqliteFiles
from harness.worker.runtime import Runtime
from harness.worker.source import Place

__all__ = ["Databases", "Watched", "accesses"]


class Watched(Protocol):
    """An instrumented connection. ``handle`` is its ``sqlite3*`` while it is open, 0 afterwards.

    ``running``: a thread is inside SQLite with it, perhaps waiting for a lock, and holds the connection's mutex: a thread
    that asked SQLite anything about it would wait for that one.
    """

    handle: int
    files: tuple[str, ...]
    attached: Attached
    timeout: float
    running: bool
    opened: Place | None

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""

    def waits(self) -> bool:
        """Decide whether to try again for a lock."""

    def holds(self, file: str) -> bool:
        """Whether it has a lock on *file*."""

    def drop(self) -> None:
        """Close, from whatever thread."""


class Databases:
    """Every open connection of this worker, and the locks that each one holds, as far as known."""

    def __init__(self, runtime: Runtime, native: Native) -> None:
        self.runtime, self.native = runtime, native
        self._open: dict[int, weakref.ref[Watched]] = {}
        self._in_memory: dict[int, weakref.ref[Watched]] = {}
        self._holding: dict[tuple[int, str], tuple[weakref.ref[Watched], str]] = {}
        self._reported: tuple[str, ...] = ()
        self.outside = 0
        self._told: set[Message] = set()
        self.files = SqliteFiles(runtime, native, self.still_open)
        self.also_held: Callable[[], Iterable[str]] = tuple
        """Files on which the worker holds other locks than SQLite's."""
        native.waits = self._waits

    # What statements report

    def moved(self, connection: Watched, file: str, states: tuple[int, int], touched: list[tuple[str, str]]) -> None:
        """Report the effects of a statement on the locks and the data of *file*: *touched* is the result of ``accesses``.

        *states* are the states before and after; if the later is lower, a lock was released.
        """
        before, after = states
        for resource, mode in touched:
            self.runtime.touched(f"{resource}:{file}", mode)
        if ("data", "w") in touched:
            self.files.written(f"{file}-wal" if file in connection.attached.in_wal else file)
        if after < before:
            self.runtime.news.append(messages.released(file))
        if after == NONE:
            self._holding.pop((id(connection), file), None)
        elif before == NONE:
            self._holding[id(connection), file] = weakref.ref(connection), file

    def read_anew(self, file: str) -> None:
        """A statement ended a read of *file* and began another: between the two there was no lock."""
        self.runtime.touched(f"data:{file}", "r")
        self.runtime.news.append(messages.released(file))

    def tries_to_write(self, file: str) -> None:
        """A transaction that has read *file* would write: where another has the right to, SQLite refuses it at once."""
        self._tell(messages.tries_to_write(file))

    def wrote_at_once(self, file: str) -> None:
        """One statement took the right to write *file* and let it go again."""
        self._tell(messages.wrote_at_once(file))

    def _tell(self, item: Message) -> None:
        """Report *item* once in each execution."""
        if item not in self._told:
            self._told.add(item)
            self.runtime.news.append(item)

    def settle(self) -> None:
        """Before the worker reports: notice locks let go without a statement, by a cursor or connection collected."""
        for key, (reference, file) in list(self._holding.items()):
            connection = reference()
            if connection is not None and connection.running:
                continue
            if connection is None or not connection.handle or not connection.holds(file):
                del self._holding[key]
                self._let_go(file)
        also = self.also_held()
        holds = tuple(sorted({*(file for _, file in self._holding.values()), *also})) if self._holding or also else ()
        if holds != self._reported:
            self._reported = holds
            self.runtime.news.append(messages.holds(holds))

    def _let_go(self, file: str) -> None:
        self.runtime.touched(f"data:{file}", "w")
        self.runtime.touched(f"lock:{file}", "w")
        self.runtime.news.append(messages.released(file))

    # Opening and closing

    def opened(self, connection: Watched) -> None:
        """Know *connection* from now on, and wait for locks on its behalf."""
        self._open[connection.handle] = weakref.ref(connection)
        self.watch(connection)

    def opened_in_memory(self, connection: Watched) -> None:
        """Know *connection*, through which threads of this process share a database in memory, which lasts as long as it."""
        self._in_memory[connection.handle] = weakref.ref(connection)

    def closed(self, connection: Watched) -> None:
        """Forget *connection*; its handle is closed."""
        self._open.pop(connection.handle, None)
        self._in_memory.pop(connection.handle, None)
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
        """Whether no connection is open to a file, or to memory that connections share."""
        return not self._open and not self._in_memory

    def close_all(self) -> None:
        """Close the connections that the code under test left open, in whatever thread."""
        if self._open:
            for connection in self.still_open():
                connection.drop()
            self._open.clear()
        for reference in self._in_memory.values():
            if (kept := reference()) is not None:
                kept.drop()
        self._in_memory.clear()
        self._holding.clear()
        self._told.clear()
        self._reported = ()


def _described(connection: Watched) -> str:
    if connection.opened is None:
        return connection.files[0]
    file, line = connection.opened[:2]
    return f"{connection.files[0]} opened at {os.path.basename(file)}:{line}"


def accesses(before: int, after: int, wrote: bool, failed: bool, excludes: bool = False) -> list[tuple[str, str]]:
    """Return the accesses of a statement, given its connection's transaction state *before* and *after* it.

    ``data`` is the committed content together with the shared locks that protect reading it; ``lock`` is the right to
    write. Beginning or ending a read reads ``data``; committing or undoing writes both. *wrote* says that the statement
    changes rows that others see, *excludes* that it keeps readers out from its beginning (BEGIN EXCLUSIVE). A statement
    that *failed* on a lock has looked at the locks that refused it: at the readers too, if it would have written. A
    statement inside a transaction that already holds the locks it needs accesses nothing that others can see.
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
