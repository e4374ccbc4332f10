"""anyio over asyncio, unmodified: locks, task groups, time-outs and threads of it; their races are found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.harness.counter import counts_to, raced
from tests.harness.libraries.judging import found_and_replayed, valid_and_complete
from tests.harness.sync_programs import READ, WRITE
from tests.harness.test_async import autocommit, plainly
from tests.harness.thread_programs import read_then_write

pytestmark = [pytest.mark.forks, pytest.mark.slow]


async def counted(db: Path) -> int:
    """Return where the counter stands."""
    async with plainly(db) as connection:
        ((n,),) = await connection.execute_fetchall(READ)
    return int(n)


async def write(db: Path, n: int) -> None:
    """Have it stand at *n*."""
    async with plainly(db) as connection:
        await connection.execute(WRITE, (n,))


async def in_a_task_group(db: Path) -> None:
    """Two tasks read and write back."""
    async with anyio.create_task_group() as group:
        group.start_soon(autocommit, db)
        group.start_soon(autocommit, db)


async def under_a_lock(db: Path) -> None:
    """The same, one at a time."""
    lock = anyio.Lock()

    async def count() -> None:
        async with lock:
            await autocommit(db)

    async with anyio.create_task_group() as group:
        group.start_soon(count)
        group.start_soon(count)


async def under_a_limiter(db: Path) -> None:
    """Two may be inside."""
    limiter = anyio.CapacityLimiter(2)

    async def count() -> None:
        async with limiter:
            await autocommit(db)

    async with anyio.create_task_group() as group:
        group.start_soon(count)
        group.start_soon(count)


async def in_threads(db: Path) -> None:
    """Two threads read and write back."""
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.to_thread.run_sync, read_then_write, db)
        group.start_soon(anyio.to_thread.run_sync, read_then_write, db)


async def in_threads_one_at_a_time(db: Path) -> None:
    """The same behind a limiter."""
    limiter = anyio.CapacityLimiter(1)

    async def count() -> None:
        await anyio.to_thread.run_sync(read_then_write, db, limiter=limiter)

    async with anyio.create_task_group() as group:
        group.start_soon(count)
        group.start_soon(count)


async def goes_on_without(db: Path) -> None:
    """Waits for the lock for a second, and the other one needs two."""
    lock = anyio.Lock()

    async def slow() -> None:
        async with lock:
            n = await counted(db)
            await anyio.sleep(2)
            await write(db, n + 1)

    async def hasty() -> None:
        with anyio.move_on_after(1):
            await lock.acquire()
        await autocommit(db)

    async with anyio.create_task_group() as group:
        group.start_soon(slow)
        group.start_soon(hasty)


async def handed_over(db: Path) -> None:
    """One makes, two take what was made."""
    send, receive = anyio.create_memory_object_stream[int](2)

    async def take() -> None:
        await receive.receive()
        await autocommit(db)

    async with send, receive, anyio.create_task_group() as group:
        group.start_soon(take)
        group.start_soon(take)
        for number in range(2):
            await send.send(number)


def run_by_itself(db: Path) -> None:
    """A command that runs anyio."""
    anyio.run(in_a_task_group, db)


def alone(worker: Callable[[Path], Any]) -> Any:
    """Return one process of *worker*, which shall count to two."""
    return raced([worker], at_end=(counts_to(2),))


@pytest.mark.parametrize("worker", [under_a_limiter, in_threads, goes_on_without, handed_over, run_by_itself])
def test_the_race_of_its_tasks_is_found_and_replayed(worker: Callable[[Path], Any]) -> None:
    """Within one process."""
    assert found_and_replayed(alone(worker)).kind == "at end"


@pytest.mark.parametrize("worker", [under_a_lock, in_threads_one_at_a_time])
def test_what_is_under_its_lock_is_not_lost(worker: Callable[[Path], Any]) -> None:
    """In every interleaving."""
    valid_and_complete(alone(worker))
