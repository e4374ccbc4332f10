"""P08: the active token is read without a lock, revoked, and replaced.

Clients rotate an agent's token. Both read the same token. The second one's UPDATE waits for the first, then finds the token
revoked and changes nothing, which nobody asks about; its INSERT meets the first one's new token. A rotation is told that the
agent has a token already.

Rule broken: CLEAN, only documented outcomes: a rotation always succeeds where there is a token. Needs two requests and one
preemption.
"""

from functools import partial

from reference_impl import service
from reference_impl.backend import Connection
from reference_impl.errors import NoActiveToken
from reference_impl.schema import initialise
from reference_impl.tokens import IssuedToken, TokenStore, find_agent, insert_token, revoke_token

__all__ = ["NAME", "initialise", "open_service"]

NAME = "p08-stale-rotation"


class ReadsThenReplaces(TokenStore):
    """A token store that decides on a rotation by rows that it read before."""

    async def _rotate(self, connection: Connection, agent: str) -> tuple[str, IssuedToken]:
        agent_id, active = await find_agent(connection, agent)
        if active is None:
            raise NoActiveToken(agent)
        await revoke_token(connection, agent, active)
        return agent_id, await insert_token(connection, agent, agent_id)


open_service = partial(service.open_service, tokens=ReadsThenReplaces)
