"""P14: one statement both locks the agent and reads its token.

Clients rotate an agent's token. SELECT ... FOR UPDATE waits for the lock and then goes on with the snapshot from its own
beginning: the agent's row is locked, but the token that is joined to it is the one from before the wait. The second
rotation tries to revoke a token that the first has replaced.

Rule broken: CLEAN, only documented outcomes: a rotation always succeeds where there is a token. Needs two requests and one
preemption.
"""

from functools import partial

from reference_impl import service
from reference_impl.backend import Connection
from reference_impl.database import fetch
from reference_impl.errors import NoActiveToken
from reference_impl.schema import initialise
from reference_impl.tokens import IssuedToken, TokenStore, insert_token, revoke_token

__all__ = ["NAME", "initialise", "open_service"]

NAME = "p14-join-under-lock"


class LocksAndReads(TokenStore):
    """A token store that locks and reads in one statement."""

    async def _rotate(self, connection: Connection, agent: str) -> tuple[str, IssuedToken]:
        rows = await fetch(
            connection,
            "SELECT agents.id, tokens.id FROM agents LEFT JOIN tokens ON tokens.agent_id = agents.id"
            " AND tokens.revoked_at IS NULL WHERE agents.slug = ? FOR UPDATE OF agents",
            (agent,),
        )
        if not rows or rows[0][1] is None or not await revoke_token(connection, agent, rows[0][1]):
            raise NoActiveToken(agent)
        return rows[0][0], await insert_token(connection, agent, rows[0][0])


open_service = partial(service.open_service, tokens=LocksAndReads)
