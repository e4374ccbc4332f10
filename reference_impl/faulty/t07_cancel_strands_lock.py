"""T07: a transaction is undone where it fails, but not where it is cancelled.

``except Exception`` does not catch ``CancelledError``. A request is cancelled in the middle of its transaction. No task
has its connection any more, but the connection still holds the write lock of the whole database.

Rule broken: LIVE, every request is answered. Needs one request and a cancellation.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import aiosqlite

from reference_impl import service
from reference_impl.database import Database, initialise

__all__ = ["NAME", "initialise", "open_service"]

NAME = "t07-cancel-strands-lock"


class UndoesFailures(Database):
    """A database that undoes a transaction only where an ``Exception`` is raised."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """Behave as the reference, as long as nothing is cancelled."""
        with self._busy_typed():
            connection = await self._take()
            try:
                await connection.execute("BEGIN IMMEDIATE")
                yield connection
                await connection.commit()
            except Exception:
                await self._roll_back(connection)
                raise
            self._idle.append(connection)


open_service = partial(service.open_service, database=UndoesFailures)
