"""Work that has to be done even where the call that needed it was cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """Keeps started tasks alive until they end: asyncio itself only holds weak references to them."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[Any]] = []

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a coroutine as a task of its own.

        Args:
            work: the coroutine. It goes on where the task that started it is cancelled.

        Returns:
            The task; await it through ``asyncio.shield``.
        """
        task = asyncio.create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)
        return task

    async def finish(self) -> None:
        """Wait until all started tasks have ended, including tasks that they started meanwhile."""
        while self._tasks:
            await asyncio.wait(self._tasks[:1])
