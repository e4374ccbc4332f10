"""T03: the transaction is deferred: it reads first and asks for the write lock only when it writes.

Clients ask for a token for one agent. Each transaction reads whether the agent has one, then inserts. If two
have read before either has written, SQLite refuses the second writer at once, in the middle of its
transaction and regardless of the busy timeout: the writer's snapshot is out of date, and waiting would not help. The
code does not expect a busy database here, because BEGIN takes no lock, and the client gets the raw
"database is locked".

Rule broken: CLEAN, only documented outcomes. Needs two requests and one preemption.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import aiosqlite

from reference_impl import service
from reference_impl.database import Database, initialise

__all__ = ["NAME", "initialise", "open_service"]

NAME = "t03-deferred-transaction"


class DeferredDatabase(Database):
    """A database with transactions that begin without a lock."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """Behave as the reference, as long as no two transactions overlap."""
        connection = await self._take()
        try:
            await connection.execute("BEGIN DEFERRED")
            yield connection
            await connection.commit()
        except Exception:
            await self._roll_back(connection)
            raise
        except BaseException:
            self._discard(connection)
            raise
        self._idle.append(connection)


open_service = partial(service.open_service, database=DeferredDatabase)
