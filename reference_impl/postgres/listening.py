"""Wake-ups from other workers, by LISTEN and NOTIFY over a connection that does nothing else."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import psycopg

LOG = logging.getLogger(__name__)

CHANNEL = "reservations"

Raw = psycopg.AsyncConnection[tuple[Any, ...]]


class Listener:
    """Receives announcements from the moment when :meth:`start` returns until it is stopped or its connection breaks.

    Args:
        connect: opens a connection in autocommit.
    """

    def __init__(self, connect: Callable[[], Awaitable[Raw]]) -> None:
        self._connect = connect
        self._heard: list[Callable[[str], None]] = []
        self._starting: asyncio.Task[asyncio.Task[None]] | None = None

    async def start(self, heard: Callable[[str], None]) -> None:
        """Listen, unless already listening.

        Args:
            heard: called with each topic from now on; callbacks of earlier calls still are.

        Raises:
            psycopg.Error: the server can't be reached.
        """
        if heard not in self._heard:
            self._heard.append(heard)
        if self._starting is None or self._has_ended(self._starting):
            # A task of its own: the caller that started it may be cancelled while others wait for it.
            self._starting = asyncio.create_task(self._listen())
        await asyncio.shield(self._starting)

    async def stop(self) -> None:
        """Stop listening and close the connection. No call of :meth:`start` may be in progress."""
        starting, self._starting = self._starting, None
        if starting is None:
            return
        with suppress(asyncio.CancelledError, psycopg.Error):
            hearing = await starting
            hearing.cancel()
            await hearing

    def _has_ended(self, starting: asyncio.Task[asyncio.Task[None]]) -> bool:
        if not starting.done():
            return False
        return starting.cancelled() or starting.exception() is not None or starting.result().done()

    async def _listen(self) -> asyncio.Task[None]:
        raw = await self._connect()
        try:
            await raw.execute(f"LISTEN {CHANNEL}".encode())
        except BaseException:
            await raw.close()
            raise
        return asyncio.create_task(self._hear(raw))

    async def _hear(self, raw: Raw) -> None:
        try:
            async for notification in raw.notifies():
                for heard in self._heard:
                    heard(notification.payload)
        except psycopg.Error:
            # Waiters look by themselves from time to time; the next one connects again.
            LOG.warning("the connection that hears of changes broke", exc_info=True)
        finally:
            await raw.close()
