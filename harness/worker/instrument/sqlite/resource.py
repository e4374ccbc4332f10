"""SQLite as a resource: ``sqlite3`` and ``aiosqlite`` over database files in the shared directory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from harness.boundary.wire import Message
from harness.scenario import Scenario
from harness.worker.instrument.files.opening import Files
from harness.worker.instrument.resource import Beginning, Resource
from harness.worker.instrument.sqlite import aiosqlite, connections
from harness.worker.instrument.sqlite.databases import Databases
from harness.worker.instrument.sqlite.native import Native
from harness.worker.instrument.sqlite.visible import visible_tables
from harness.worker.runtime import Runtime
from harness.worker.virtual.clock import Clock
from harness.worker.virtual.randomness import Randomness
from harness.worker.virtual.rebind import Replacement

__all__ = ["Sqlite"]


class Sqlite(Resource):
    """Connections, their locks, and SQLite's own files, clock and randomness."""

    def __init__(self, runtime: Runtime, clock: Clock, randomness: Randomness) -> None:
        self._native = Native()
        self._clock, self._randomness = clock, randomness
        self.databases = Databases(runtime, self._native)
        aiosqlite.install(runtime)

    def connect(self, files: Files, sleep: Callable[[float], None]) -> None:
        """Have SQLite sleep by *sleep*, and report its files to *files*, whose locks count among those held."""
        self._native.install_time_and_randomness(self._clock.of_day, self._randomness.bytes, sleep)
        self.databases.also_held = files.locks.held
        self.databases.files.watch(files)

    def replacements(self) -> list[Replacement]:
        """Return those for ``sqlite3.connect`` and its classes."""
        return connections.replacements(self.databases)

    def begin(self, beginning: Beginning) -> None:
        """Start SQLite's own randomness anew."""
        self._native.reseed()

    def settles(self, scenario: Scenario) -> Callable[[], None]:
        """Return the function that reports the locks that are held."""
        return self.databases.settle

    def ran_before(self) -> bool:
        """Return whether a statement ran before the race, since last asked."""
        outside, self.databases.outside = self.databases.outside, 0
        return outside > 0

    def tables(self, text: Callable[[Any], str]) -> Iterable[Message]:
        """Return the tables that the open connections see."""
        return visible_tables(self.databases, text)

    def left_open(self) -> list[str]:
        """Return the connections that are still in a transaction."""
        return self.databases.in_transaction()

    def none_left(self) -> bool:
        """Return whether no connection, and no thread of ``aiosqlite``, is left."""
        return self.databases.none_open and not aiosqlite.any_alive()

    def clean(self) -> None:
        """End the threads of ``aiosqlite``, and close all connections."""
        aiosqlite.stop_all()
        self.databases.close_all()
