"""A service over PostgreSQL that is let go by one statement at a time."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from reference_impl import Service
from reference_impl.postgres.connection import PostgresConnection
from reference_impl.postgres.database import PostgresDatabase
from tests import postgres


class Held:
    """Holds whatever *service* does when so many statements of it have ended; until told how many, nothing.

    With *one_task* it is the statements of the task to run that are counted and held.
    """

    def __init__(self, service: Service, *, one_task: bool = False) -> None:
        self._one_task = one_task
        self._task: asyncio.Task[Any] | None = None
        self.ended = 0
        self._most: float = float("inf")
        self._changed = asyncio.Condition()
        self._database = cast(PostgresDatabase, service.database)
        self._opens = self._database._open
        self._database._open = self._open  # type: ignore[method-assign]

    async def run_to(self, number: int, task: asyncio.Task[Any]) -> bool:
        """Let *task* go until statement *number* (1 is the first) has ended; False where it ends before."""
        self._task = task
        await self._allow(number)
        async with self._changed:
            task.add_done_callback(lambda _: asyncio.ensure_future(self._tell()))
            await self._changed.wait_for(lambda: self.ended >= number or task.done())
        return self.ended >= number and not task.done()

    async def release(self) -> None:
        """Let everything go."""
        await self._allow(float("inf"))

    async def _allow(self, most: float) -> None:
        self._most = most
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _open(self) -> PostgresConnection:
        connection = await self._opens()
        execute = connection.execute

        async def stepped(*arguments: Any) -> Any:
            try:
                return await execute(*arguments)
            finally:
                if not self._one_task or asyncio.current_task() is self._task:
                    await self._hold()

        connection.execute = stepped  # type: ignore[method-assign]
        return connection

    async def _hold(self) -> None:
        self.ended += 1
        mine = self.ended
        async with self._changed:
            self._changed.notify_all()
            await self._changed.wait_for(lambda: mine < self._most)


async def ended_or_blocked(url: str, task: asyncio.Task[Any]) -> None:
    """Wait until *task* has ended, waits for another request, or waits for a lock as the server says."""
    sql = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while not task.done() and not _waits(task):
        await asyncio.wait((task,), timeout=0.005)
        if not task.done() and await asyncio.to_thread(postgres.execute, url, sql):
            return


def _waits(task: asyncio.Task[Any]) -> bool:
    """Whether the task is inside :meth:`Wait.changed`."""
    awaited: Any = task.get_coro()
    while awaited is not None and getattr(awaited, "__qualname__", "") != "Wait.changed":
        awaited = getattr(awaited, "cr_await", None)
    return awaited is not None
