"""P08: the active token is read without a lock, revoked, and replaced.

Clients rotate an agent's token. Both read the same token. The second one's UPDATE waits for the first, then finds the
token revoked and changes nothing; the code does not check that. Its INSERT then conflicts with the first one's new token,
and its client is told that the agent already has a token.

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
    """A token store with rotations that decide by an earlier read, without a lock."""

    async def _rotate(self, connection: Connection, agent: str) -> tuple[str, IssuedToken]:
        agent_id, active = await find_agent(connection, agent)
        if active is None:
            raise NoActiveToken(agent)
        await revoke_token(connection, agent, active)
        return agent_id, await insert_token(connection, agent, agent_id)


open_service = partial(service.open_service, tokens=ReadsThenReplaces)
