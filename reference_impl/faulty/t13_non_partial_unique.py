"""T13: the index is UNIQUE(agent, revoked at) instead of a partial one, and the code trusts it.

Clients ask for a token for one agent. Each request looks whether the agent has one, and inserts one where it
has not; if two look before either has inserted, the index is to refuse the second. It does not: an active
token's time of revocation is NULL, and to a unique index two NULLs are different.

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
        """As in the reference, where nobody else issues a token to the agent meanwhile."""
        async with self._database.autocommit() as connection:
            agent_id, active = await find_agent(connection, agent)
            if active is not None:
                raise ActiveTokenExists(agent)
            return await insert_token(connection, agent, agent_id)


async def initialise(path: Address, *, journal_mode: JournalMode = "delete") -> None:
    """As :func:`reference_impl.initialise`, with an index that is not partial."""
    await initialise_reference(path, journal_mode=journal_mode)
    await create(
        path,
        "DROP INDEX IF EXISTS uniq_agent_active_token;"
        "CREATE UNIQUE INDEX IF NOT EXISTS uniq_agent_token ON tokens (agent_id, revoked_at);",
    )


open_service = partial(service.open_service, tokens=TrustingTokenStore)
