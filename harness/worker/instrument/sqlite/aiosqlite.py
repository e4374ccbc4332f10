"""Puts ``aiosqlite``'s connection threads under the runtime: the same code and threads, one running at a time.

Each call travels through the connection's queue to its thread, where the statement meets the schedule points of
``sqlite3``. While several tasks are alive in the worker the order in which calls complete is a choice too, even of
calls that touch no lock, because the tasks may share memory: such a call parks before it runs.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from harness.worker.instrument.sqlite.connections import Connection
from harness.worker.instrument.sqlite.statements import shown, statement
from harness.worker.runtime import Runtime, Strand
from harness.worker.source import Place, where

__all__ = ["any_alive", "install", "stop_all"]

_queues: weakref.WeakSet[_Queue] = weakref.WeakSet()
_runtime: Runtime


class _Queue:
    """Replaces the ``SimpleQueue`` of ``aiosqlite``: its one consumer waits as a controlled thread."""

    def __init__(self) -> None:
        self._items: deque[tuple[Any, str, Place | None]] = deque()
        self._waiting: Strand | None = None
        self.alive = False
        _queues.add(self)

    @classmethod
    def __class_getitem__(cls, _: Any) -> type[_Queue]:
        return cls

    def put_nowait(self, item: Any) -> None:
        """Append *item*, with the lane and the line that asked for it, and wake the consumer."""
        self._items.append((item, _runtime.lane(), where(2)))
        if self._waiting is not None:
            _runtime.wake(self._waiting)
            self._waiting = None

    put = put_nowait

    def get(self) -> Any:
        """Return the next item, waiting for it; park first where its turn is a choice."""
        strand = _runtime.strand()
        assert strand is not None
        strand.granted = None
        strand.lane = "main"
        if not self._items:
            self._waiting = strand
            _runtime.wait(strand)
        item, strand.lane, strand.place = self._items.popleft()
        if not (_runtime.controlled and (_runtime.live > 1 or _runtime.cancels)):
            return item
        future, function = item
        return future, partial(_in_turn, strand, function)


def _in_turn(strand: Strand, function: Callable[[], Any]) -> Any:
    (kind, text, detail), merges = _described(function)
    if merges:
        # The point that the statement itself meets is the one just chosen.
        strand.granted = _runtime.park(kind, text, detail, strand.place, errors=_errors(function, kind, text))
    else:
        _runtime.take_turn(kind, text, detail)
    try:
        return function()
    finally:
        strand.granted = None


def _errors(function: Any, kind: str, text: str) -> tuple[str, ...]:
    owner = getattr(function.func, "__self__", None)
    connection = getattr(owner, "_connection", None) or getattr(owner, "connection", owner)
    return connection.could_end_with(kind, text) if isinstance(connection, Connection) else ()


def _described(function: Callable[[], Any]) -> tuple[tuple[str, str, str], bool]:
    """Return the step of *function* (kind, text, detail), and whether its first schedule point is this step."""
    if not isinstance(function, partial):
        return ("await", getattr(function, "__name__", "call"), ""), False
    name = getattr(function.func, "__name__", "call")
    owner = getattr(function.func, "__self__", None)
    connection = getattr(owner, "_connection", None) or getattr(owner, "connection", owner)
    if name in ("commit", "rollback", "close"):
        return (name, name.upper(), ""), True
    if name.startswith("fetch"):
        return ("fetch", name, ""), True
    if name not in ("execute", "executemany", "_execute_insert", "_execute_fetchall") or not function.args:
        return ("await", name, ""), False
    sql = function.args[0]
    if name == "executemany" or _begins_first(connection, sql):
        return ("await", f"{name} {sql}", ""), False
    return ("sql", sql, shown(function.args[1] if len(function.args) > 1 else ())), True


def _begins_first(connection: Any, sql: str) -> bool:
    """Whether another point, the implicit BEGIN, comes before the statement's own."""
    if not isinstance(connection, sqlite3.Connection):
        return True
    return connection.isolation_level is not None and not connection.in_transaction and statement(sql).dml


class _Thread:
    """Replaces the ``Thread`` of ``aiosqlite``: its target runs as a controlled thread."""

    def __init__(self, target: Callable[..., Any], args: tuple[Any, ...] = (), **_: Any) -> None:
        self._target, self._args = target, args
        self._strand: Strand | None = None
        self.name = "aiosqlite"

    def start(self) -> None:
        """Begin when the baton comes."""
        queue = self._args[0]
        queue.alive = True

        def run() -> None:
            try:
                self._target(*self._args)
            finally:
                queue.alive = False

        self._strand = _runtime.spawn(run, "main")

    def is_alive(self) -> bool:
        """Return whether the target still runs."""
        return bool(self._args[0].alive)


def install(runtime: Runtime) -> None:
    """Put the runtime under ``aiosqlite`` if it can be imported."""
    global _runtime
    _runtime = runtime
    try:
        from aiosqlite import core
    except ImportError:
        return
    if issubclass(core.Connection, threading.Thread):
        raise RuntimeError("this aiosqlite is older than 0.22")
    core.SimpleQueue = _Queue  # type: ignore[attr-defined,assignment]
    core.Thread = _Thread  # type: ignore[attr-defined,assignment]


def any_alive() -> bool:
    """Return whether a connection's thread is alive."""
    return bool(_queues) and any(queue.alive for queue in _queues)


def stop_all() -> None:
    """End the threads of connections that the code under test left open; their connections are closed elsewhere."""
    if not _queues:
        return
    from aiosqlite import core

    for queue in list(_queues):
        if queue.alive:
            queue.put_nowait((None, lambda: core._STOP_RUNNING_SENTINEL))
    _queues.clear()
