"""asyncio's own locks, queues, groups, time-outs and threads, unmodified: the races of one process are found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.harness.counter import counts_to, raced
from tests.harness.libraries.judging import found_and_replayed, valid_and_complete
from tests.harness.test_async import autocommit
from tests.harness.thread_programs import read_then_write

pytestmark = [pytest.mark.forks, pytest.mark.slow]


async def together(*tasks: Coroutine[Any, Any, Any]) -> None:
    """Run *tasks* to their end, in a group."""
    async with asyncio.TaskGroup() as group:
        for task in tasks:
            group.create_task(task)


async def each_under(guard: Any, db: Path) -> None:
    """Count twice at once, each time under *guard*."""

    async def count() -> None:
        async with guard:
            await autocommit(db)

    await together(count(), count())


async def in_a_group(db: Path) -> None:
    """Nothing keeps the other out."""
    await together(autocommit(db), autocommit(db))


async def under_a_lock(db: Path) -> None:
    """One at a time."""
    await each_under(asyncio.Lock(), db)


async def under_a_semaphore(db: Path) -> None:
    """Two may be inside."""
    await each_under(asyncio.BoundedSemaphore(2), db)


async def under_a_condition(db: Path) -> None:
    """Which has a lock."""
    await each_under(asyncio.Condition(), db)


async def told_too_early(db: Path) -> None:
    """The event is set before what it tells of."""
    event = asyncio.Event()

    async def first() -> None:
        event.set()
        await autocommit(db)

    async def second() -> None:
        await event.wait()
        await autocommit(db)

    await together(first(), second())


async def out_of_a_queue(db: Path, takers: int) -> None:
    """*takers* take two tasks out of a queue."""
    queue: asyncio.Queue[Path] = asyncio.Queue()

    async def take() -> None:
        while True:
            await autocommit(await queue.get())
            queue.task_done()

    queue.put_nowait(db)
    queue.put_nowait(db)
    running = [asyncio.create_task(take()) for _ in range(takers)]
    await queue.join()
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def two_take(db: Path) -> None:
    """At once."""
    await out_of_a_queue(db, 2)


async def one_takes(db: Path) -> None:
    """One after another."""
    await out_of_a_queue(db, 1)


async def goes_on_without(db: Path) -> None:
    """Waits a second for a lock that another task has for two."""
    lock = asyncio.Lock()

    async def slow() -> None:
        async with lock:
            await asyncio.sleep(2)
            await autocommit(db)

    async def hasty() -> None:
        try:
            async with asyncio.timeout(1):
                await lock.acquire()
        except TimeoutError:
            await asyncio.sleep(1)
        await autocommit(db)

    await together(slow(), hasty())


async def in_threads(db: Path) -> None:
    """Both in threads of the default executor."""
    await together(asyncio.to_thread(read_then_write, db), asyncio.to_thread(read_then_write, db))


async def in_a_pool_of_one(db: Path) -> None:
    """One after another; ``test_threads`` has two at once."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as pool:
        await asyncio.gather(*(loop.run_in_executor(pool, read_then_write, db) for _ in range(2)))


def run_by_itself(db: Path) -> None:
    """A command that runs a loop."""
    asyncio.run(in_a_group(db))


def run_under_a_lock(db: Path) -> None:
    """The same, one at a time."""
    asyncio.run(under_a_lock(db))


def alone(worker: Callable[[Path], Any]) -> Any:
    """Return one process of *worker*, which shall count to two."""
    return raced([worker], at_end=(counts_to(2),))


@pytest.mark.parametrize(
    "worker", [under_a_semaphore, told_too_early, two_take, goes_on_without, in_threads, run_by_itself]
)
def test_the_race_of_its_tasks_is_found_and_replayed(worker: Callable[[Path], Any]) -> None:
    """Within one process."""
    assert found_and_replayed(alone(worker)).kind == "at end"


@pytest.mark.parametrize("worker", [under_a_condition, one_takes, in_a_pool_of_one, run_under_a_lock])
def test_what_one_does_after_another_is_not_lost(worker: Callable[[Path], Any]) -> None:
    """In every interleaving."""
    valid_and_complete(alone(worker))
