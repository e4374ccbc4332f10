"""T16: a token is revoked by its agent, not by its id.

One client revokes a token, another rotates it. The revocation first checks that its token is the active one,
and then revokes the agent's active token, without naming it. If the rotation commits in between, its new token is
revoked before it was ever used.

Rule broken: TOKLAST, when all is quiet the active token is the last one acknowledged. Needs two requests and
one preemption.
"""

import time
from functools import partial

from reference_impl import service
from reference_impl.database import fetch, initialise
from reference_impl.errors import NoActiveToken
from reference_impl.tokens import TokenStore

__all__ = ["NAME", "initialise", "open_service"]

NAME = "t16-revoke-by-agent"


class ByAgentTokenStore(TokenStore):
    """A token store that revokes any token of the agent that is active."""

    async def revoke(self, agent: str, token_id: str) -> None:
        """Behave as the reference, as long as no other request changes the agent's token meanwhile."""
        async with self._database.autocommit() as connection:
            rows = await fetch(
                connection,
                "SELECT agents.id FROM agents JOIN tokens ON tokens.agent_id = agents.id"
                " WHERE agents.slug = ? AND tokens.id = ? AND tokens.revoked_at IS NULL",
                (agent, token_id),
            )
            if not rows:
                raise NoActiveToken(agent)
            await connection.execute(
                "UPDATE tokens SET revoked_at = ? WHERE agent_id = ? AND revoked_at IS NULL",
                (time.time(), rows[0][0]),
            )


open_service = partial(service.open_service, tokens=ByAgentTokenStore)
