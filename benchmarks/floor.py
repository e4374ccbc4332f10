"""The floor: the same statements one worker after another in one process, with no scheduler at all.

Nothing that controls two workers can be faster than running them uncontrolled and in turn, so speeds are
given as a share of this. Per execution: the database file written anew from a template, then each of two
workers opens it, issues a token and closes it.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiosqlite

from benchmarks.tokens import FIND_AGENT, INSERT_TOKEN, new_token

SyncWorker = Callable[[Path], object]
AsyncWorker = Callable[[Path], Awaitable[object]]
WORKERS = 2


@contextmanager
def one_core() -> Iterator[None]:
    """This process (and the threads it starts) on a single core, as the harness pins itself."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Template:
    """A database made once; `put_back` writes its bytes to a fresh file."""

    def __init__(self, folder: Path, set_up: Callable[[Path], object]) -> None:
        original = folder / "template.db"
        set_up(original)
        self._bytes = original.read_bytes()
        self._db = folder / "floor.db"

    def put_back(self) -> Path:
        """The database as it was, in a new file, with nothing beside it."""
        for suffix in ("", "-journal", "-wal", "-shm"):
            try:
                os.unlink(f"{self._db}{suffix}")
            except FileNotFoundError:
                continue
        self._db.write_bytes(self._bytes)
        return self._db


def sync_floor(template: Template, worker: SyncWorker, executions: int) -> float:
    """Executions per second."""
    started = time.perf_counter()
    for _ in range(executions):
        db = template.put_back()
        for _ in range(WORKERS):
            worker(db)
    return executions / (time.perf_counter() - started)


def async_floor(template: Template, worker: AsyncWorker, executions: int) -> float:
    """Executions per second, in one event loop that lives through them all."""

    async def run() -> float:
        started = time.perf_counter()
        for _ in range(executions):
            db = template.put_back()
            for _ in range(WORKERS):
                await worker(db)
        return executions / (time.perf_counter() - started)

    return asyncio.run(run())


# -- where the floor's time goes -----------------------------------------------------------------------------


class Split:
    """Microseconds per execution, by part."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._last = 0.0

    def start(self) -> None:
        """Begin to count."""
        self._last = time.perf_counter()

    def part(self, name: str) -> None:
        """Add the time since the last mark to the part `name`."""
        now = time.perf_counter()
        self._seconds[name] = self._seconds.get(name, 0.0) + now - self._last
        self._last = now

    def microseconds(self, executions: int) -> dict[str, float]:
        """The parts, each per execution."""
        return {name: round(seconds / executions * 1e6, 1) for name, seconds in self._seconds.items()}


def sync_split(template: Template, executions: int) -> dict[str, float]:
    """Where `sync_floor` spends its time (both workers together)."""
    split = Split()
    for _ in range(executions):
        split.start()
        db = template.put_back()
        split.part("put back")
        for _ in range(WORKERS):
            connection = sqlite3.connect(db, isolation_level=None)
            split.part("open")
            connection.execute("BEGIN IMMEDIATE")
            split.part("begin immediate")
            ((agent_id, active),) = connection.execute(FIND_AGENT, ("a1",)).fetchall()
            split.part("select")
            if active is None:
                connection.execute(INSERT_TOKEN, new_token(agent_id))
                split.part("insert")
                connection.commit()
                split.part("commit")
            else:
                connection.rollback()
                split.part("rollback")
            connection.close()
            split.part("close")
    return split.microseconds(executions)


async def _async_split(template: Template, executions: int) -> dict[str, float]:
    split = Split()
    for _ in range(executions):
        split.start()
        db = template.put_back()
        split.part("put back")
        for _ in range(WORKERS):
            connection = await aiosqlite.connect(db, isolation_level=None)
            split.part("open (starts a thread)")
            await connection.execute("BEGIN IMMEDIATE")
            split.part("begin immediate")
            ((agent_id, active),) = await connection.execute_fetchall(FIND_AGENT, ("a1",))
            split.part("select")
            if active is None:
                await connection.execute(INSERT_TOKEN, new_token(agent_id))
                split.part("insert")
                await connection.commit()
                split.part("commit")
            else:
                await connection.rollback()
                split.part("rollback")
            await connection.close()
            split.part("close (ends the thread)")
    return split.microseconds(executions)


def async_split(template: Template, executions: int) -> dict[str, float]:
    """Where `async_floor` spends its time (both workers together)."""
    return asyncio.run(_async_split(template, executions))


def hop_microseconds(hops: int = 5000) -> dict[str, float]:
    """Return the microseconds of a call to aiosqlite's thread and back, and of starting a thread."""

    async def hop() -> float:
        async with aiosqlite.connect(":memory:") as connection:
            started = time.perf_counter()
            for _ in range(hops):
                await connection._execute(_nothing)  # type: ignore[no-untyped-call]  # the bare hop
            return (time.perf_counter() - started) / hops * 1e6

    def thread() -> float:
        started = time.perf_counter()
        for _ in range(hops):
            each = threading.Thread(target=_nothing)
            each.start()
            each.join()
        return (time.perf_counter() - started) / hops * 1e6

    return {"aiosqlite call": round(asyncio.run(hop()), 1), "thread start and join": round(thread(), 1)}


def _nothing() -> None:
    """Do nothing, in another thread."""
