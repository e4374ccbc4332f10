"""T01: an asyncio lock, a SELECT and then an INSERT in autocommit; no index.

Clients ask for a token for one agent. Each request checks whether the agent has a token, and inserts one where it
has none. The lock keeps the tasks of one worker apart, but not the workers: if two workers check before either
has inserted, both insert.

Rule broken: TOK1, at most one active token per agent. Needs two workers and one preemption.
"""

import asyncio
from functools import partial

from reference_impl import service
from reference_impl.backend import Address, Backend
from reference_impl.containers import Containers
from reference_impl.errors import ActiveTokenExists
from reference_impl.schema import JournalMode, create
from reference_impl.schema import initialise as initialise_reference
from reference_impl.tokens import IssuedToken, TokenStore, find_agent, insert_token

NAME = "t01-check-then-insert"


class LockedTokenStore(TokenStore):
    """A token store that excludes only the other tasks of its own process."""

    def __init__(self, database: Backend, containers: Containers | None = None) -> None:
        super().__init__(database, containers)
        self._lock = asyncio.Lock()

    async def issue(self, agent: str) -> IssuedToken:
        """Behave as the reference, as long as no other worker issues a token to the agent meanwhile."""
        async with self._lock, self._database.autocommit() as connection:
            agent_id, active = await find_agent(connection, agent)
            if active is not None:
                raise ActiveTokenExists(agent)
            return await insert_token(connection, agent, agent_id)


async def initialise(path: Address, *, journal_mode: JournalMode = "delete") -> None:
    """Create the tables as :func:`reference_impl.initialise` does, without the index on active tokens."""
    await initialise_reference(path, journal_mode=journal_mode)
    await create(path, "DROP INDEX IF EXISTS uniq_agent_active_token")


open_service = partial(service.open_service, tokens=LockedTokenStore)
