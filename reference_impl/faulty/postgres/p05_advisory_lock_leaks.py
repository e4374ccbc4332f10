"""P05: a session's advisory lock is taken over one pooled connection and released over another.

Clients ask for tokens. The lock belongs to the connection that took it, and this connection goes back to the pool with the
lock. Requests that come one at a time get the same connection again. If another request has put its own connection in the
pool by then, the lock is released over a connection that never held it (PostgreSQL only warns), and stays with an idle
connection. No other worker ever gets it again.

Rule broken: LIVE, every request is answered. Needs two requests in one worker, one preemption, and a third in another worker.
"""

from functools import partial

from reference_impl import service
from reference_impl.database import fetch
from reference_impl.postgres.connection import PostgresConnection
from reference_impl.postgres.database import PostgresDatabase
from reference_impl.schema import initialise
from reference_impl.tokens import IssuedToken, TokenStore

__all__ = ["NAME", "initialise", "open_service"]

NAME = "p05-advisory-lock-leaks"


class InTurns(PostgresDatabase):
    """A database that takes the connection that has been idle longest."""

    async def _take(self) -> PostgresConnection:
        return self._idle.pop(0) if self._idle else await super()._take()


class LocksTheSession(TokenStore):
    """A token store that excludes others by an advisory lock for each agent."""

    async def issue(self, agent: str) -> IssuedToken:
        """Behave as the reference, as long as the pool gives out the same connection again."""
        async with self._database.autocommit() as connection:
            await fetch(connection, "SELECT pg_advisory_lock(hashtextextended(?, 0))", (agent,))
        try:
            return await super().issue(agent)
        finally:
            async with self._database.autocommit() as connection:
                await fetch(connection, "SELECT pg_advisory_unlock(hashtextextended(?, 0))", (agent,))


open_service = partial(service.open_service, database=InTurns, tokens=LocksTheSession)
