"""T13: the index is UNIQUE(agent, revoked at) instead of a partial one, and the code relies on it.

Clients ask for a token for one agent. Each request checks whether the agent has a token, and inserts one where it
has none. If two check before either has inserted, the index should refuse the second. It does not: an active
token's time of revocation is NULL, and two NULLs are different to a unique index.

Rule broken: TOK1, at most one active token per agent. Needs two requests and one preemption.
"""

from functools import partial

from reference_impl import service
from reference_impl.backend import Address
from reference_impl.errors import ActiveTokenExists
from reference_impl.schema import JournalMode, create
from reference_impl.schema import initialise as initialise_reference
from reference_impl.tokens import IssuedToken, TokenStore, find_agent, insert_token

NAME = "t13-non-partial-unique"


class TrustingTokenStore(TokenStore):
    """A token store that leaves exclusion to the index."""

    async def issue(self, agent: str) -> IssuedToken:
        """Behave as the reference, as long as no other request issues a token to the agent meanwhile."""
        async with self._database.autocommit() as connection:
            agent_id, active = await find_agent(connection, agent)
            if active is not None:
                raise ActiveTokenExists(agent)
            return await insert_token(connection, agent, agent_id)


async def initialise(path: Address, *, journal_mode: JournalMode = "delete") -> None:
    """Create the tables as :func:`reference_impl.initialise` does, with an index that is not partial."""
    await initialise_reference(path, journal_mode=journal_mode)
    await create(
        path,
        "DROP INDEX IF EXISTS uniq_agent_active_token;"
        "CREATE UNIQUE INDEX IF NOT EXISTS uniq_agent_token ON tokens (agent_id, revoked_at);",
    )


open_service = partial(service.open_service, tokens=TrustingTokenStore)
