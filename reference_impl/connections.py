"""Connections that are opened when needed, used by one task at a time, and kept for the next task."""

from asyncio import CancelledError, Task, shield
from collections.abc import Coroutine
from typing import Any, Generic, Protocol, TypeVar

from reference_impl.background import Background


class Closable(Protocol):
    """A connection."""

    def close(self) -> Coroutine[Any, Any, None]:
        """Close it."""


C = TypeVar("C", bound=Closable)


class Connections(Generic[C]):
    """Holds one worker's connections. A task takes one and afterwards puts it back in :attr:`_idle` or discards it."""

    def __init__(self) -> None:
        self.background = Background()
        self._idle: list[C] = []

    async def close(self) -> None:
        """Finish the work that cancelled calls left, then close the connections. No call may be in progress."""
        await self.background.finish()
        while self._idle:
            await self._idle.pop().close()

    async def _take(self) -> C:
        """Return the idle connection that was used last, else a new one."""
        if self._idle:
            return self._idle.pop()
        opening = self.background.start(self._open())
        try:
            return await shield(opening)
        except CancelledError:
            self.background.start(self._keep(opening))
            raise

    async def _open(self) -> C:
        raise NotImplementedError

    async def _end(self, connection: C) -> None:
        raise NotImplementedError

    async def _keep(self, opening: Task[C]) -> None:
        """Keep a connection for the next task, since the task that wanted it was cancelled while it was being opened."""
        self._idle.append(await opening)

    def _discard(self, connection: C) -> None:
        """Close in the background a connection in an unknown state: a statement may be running or queued on it.

        Not awaited, because the statement may wait for a lock for seconds while the caller is being cancelled.
        """
        self.background.start(self._end(connection))
