"""T09: all tasks of a worker share one connection, and any failure is answered by ROLLBACK.

Clients ask for tokens for different, unrelated agents. If one task begins while the other is inside its
transaction, its BEGIN fails: "cannot start a transaction within a transaction". Its ROLLBACK then undoes the
other's insert. The other's commit finds nothing to commit and succeeds, and its client gets a token that is
not in the database.

Rule broken: TOKR, a returned token is durable; CLEAN, only documented outcomes. Needs two tasks of one worker
and one preemption.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import aiosqlite

from reference_impl import service
from reference_impl.database import Database, initialise

__all__ = ["NAME", "initialise", "open_service"]

NAME = "t09-shared-connection"


class SharedConnection(Database):
    """A database with one connection, which all tasks use at the same time."""

    def __init__(self, path: str | os.PathLike[str], *, busy_timeout: float) -> None:
        super().__init__(path, busy_timeout=busy_timeout)
        self._opening: asyncio.Task[aiosqlite.Connection] | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """Behave as the reference, as long as no two tasks are in a transaction at the same time."""
        connection = await self._take()
        try:
            with self._busy_typed():
                await connection.execute("BEGIN IMMEDIATE")
                yield connection
                await connection.commit()
        except BaseException:
            await connection.rollback()
            raise

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[aiosqlite.Connection]:
        """Behave as the reference, as long as no other task is in a transaction."""
        with self._busy_typed():
            yield await self._take()

    async def close(self) -> None:
        """Close the connection."""
        await self.background.finish()
        if self._opening is not None:
            await (await self._opening).close()
            self._opening = None

    async def _take(self) -> aiosqlite.Connection:
        if self._opening is None:
            self._opening = self.background.start(self._open())
        return await asyncio.shield(self._opening)


open_service = partial(service.open_service, database=SharedConnection)
