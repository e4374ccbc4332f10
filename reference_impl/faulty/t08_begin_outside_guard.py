"""T08: the transaction begins before the guard that would undo it.

A request waits for the write lock and is cancelled. The statement goes on waiting in its thread, gets the lock when it is
free, and nobody is there to let it go.

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
    """A database that guards transactions only once they have begun."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """As in the reference, where nobody is cancelled while it waits."""
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
