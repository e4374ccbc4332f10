"""The floor: the same statements, one worker after another in one process, without a scheduler.

No tool that controls two workers can be faster than running them uncontrolled and in turn, so speeds are
given as a share of the floor. In each execution the database file is written anew from a template, and then each of
two workers opens it, issues a token and closes it.
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
    """Pin this process and the threads that it starts to a single core, as the harness pins itself."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Template:
    """A database that is made once; `put_back` writes its bytes to a fresh file."""

    def __init__(self, folder: Path, set_up: Callable[[Path], object]) -> None:
        original = folder / "template.db"
        set_up(original)
        self._bytes = original.read_bytes()
        self._db = folder / "floor.db"

    def put_back(self) -> Path:
        """Write the template to a new file, remove journals beside it, and return its path."""
        for suffix in ("", "-journal", "-wal", "-shm"):
            try:
                os.unlink(f"{self._db}{suffix}")
            except FileNotFoundError:
                continue
        self._db.write_bytes(self._bytes)
        return self._db


def sync_floor(template: Template, worker: SyncWorker, executions: int) -> float:
    """Return the executions per second."""
    started = time.perf_counter()
    for _ in range(executions):
        db = template.put_back()
        for _ in range(WORKERS):
            worker(db)
    return executions / (time.perf_counter() - started)


def async_floor(template: Template, worker: AsyncWorker, executions: int) -> float:
    """Return the executions per second, all of them in one event loop."""

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
    """Measures the microseconds per execution of each part."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._last = 0.0

    def start(self) -> None:
        """Set the first mark."""
        self._last = time.perf_counter()

    def part(self, name: str) -> None:
        """Add the time since the last mark to the part `name`, and set the next mark."""
        now = time.perf_counter()
        self._seconds[name] = self._seconds.get(name, 0.0) + now - self._last
        self._last = now

    def microseconds(self, executions: int) -> dict[str, float]:
        """Return the microseconds per execution of each part."""
        return {name: round(seconds / executions * 1e6, 1) for name, seconds in self._seconds.items()}


def sync_split(template: Template, executions: int) -> dict[str, float]:
    """Return the microseconds that `sync_floor` spends in each part (both workers together)."""
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
    """Return the microseconds that `async_floor` spends in each part (both workers together)."""
    return asyncio.run(_async_split(template, executions))


def hop_microseconds(hops: int = 5000) -> dict[str, float]:
    """Return the microseconds of a bare hop to aiosqlite's thread and back, and of a thread's start and join."""

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
