"""Connections that are opened when needed, used by one task at a time, and kept for the next."""

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
    """One worker's connections. A task that takes one returns it to :attr:`_idle`, or discards it."""

    def __init__(self) -> None:
        self.background = Background()
        self._idle: list[C] = []

    async def close(self) -> None:
        """Finish the background work of cancelled calls, then close the connections. No call may be in progress."""
        await self.background.finish()
        while self._idle:
            await self._idle.pop().close()

    async def _take(self) -> C:
        """The connection used last, else a new one."""
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
        """Nobody is waiting for this connection any more: the next task may have it."""
        self._idle.append(await opening)

    def _discard(self, connection: C) -> None:
        """Give up a connection in an unknown state: a statement may be running, or still wait for its turn.

        Not awaited, as the statement may wait for a lock for seconds while the caller is being cancelled.
        """
        self.background.start(self._end(connection))
