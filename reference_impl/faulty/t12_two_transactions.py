"""T12: a rotation revokes in one transaction and issues in a second one.

Clients rotate an agent's token. Between the two transactions the agent has no token at all. A request that
authenticates then is refused, a second rotation finds nothing to rotate, another client's token may take the
place, and if the worker dies at that point, the agent stays without a token.

Rule broken: TOKLAST, a rotation never leaves an agent without a token; CLEAN, only documented outcomes. Needs one
request where the rule is checked after every commit, else two requests and one preemption, or a crash.
"""

from functools import partial

from reference_impl import service
from reference_impl.database import initialise
from reference_impl.errors import NoActiveToken
from reference_impl.tokens import IssuedToken, TokenStore, find_agent, insert_token, revoke_token

__all__ = ["NAME", "initialise", "open_service"]

NAME = "t12-two-transactions"


class TwoStepTokenStore(TokenStore):
    """A token store that rotates in two transactions."""

    async def rotate(self, agent: str) -> IssuedToken:
        """Behave as the reference, as long as no other request comes between the two transactions."""
        async with self._database.transaction() as connection:
            agent_id, active = await find_agent(connection, agent)
            if active is None:
                raise NoActiveToken(agent)
            await revoke_token(connection, agent, active)
        async with self._database.transaction() as connection:
            return await insert_token(connection, agent, agent_id)


open_service = partial(service.open_service, tokens=TwoStepTokenStore)
