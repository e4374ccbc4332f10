"""T08: BEGIN comes before the ``try`` that would undo the transaction.

A request waits for the write lock and is cancelled. Its BEGIN goes on waiting in the connection's thread and gets the
lock when it is free; nothing releases the lock then.

Rule broken: LIVE, every request is answered. Needs two requests, one preemption and a cancellation.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import aiosqlite

from reference_impl import service
from reference_impl.database import Database, initialise

__all__ = ["NAME", "initialise", "open_service"]

NAME = "t08-begin-outside-guard"


class BeginsOutside(Database):
    """A database that undoes transactions only after their BEGIN."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """Behave as the reference, as long as no request is cancelled while it waits for the lock."""
        with self._busy_typed():
            connection = await self._take()
            await connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                await connection.commit()
            except Exception:
                await self._roll_back(connection)
                raise
            except BaseException:
                self._discard(connection)
                raise
            self._idle.append(connection)


open_service = partial(service.open_service, database=BeginsOutside)
