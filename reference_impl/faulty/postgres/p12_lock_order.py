"""P12: a revocation locks the token and then its agent, a rotation the agent and then its token.

One client revokes a token while another rotates it. Each has locked what the other needs next. PostgreSQL finds the
deadlock and gives one of them up, which nobody tries again: the client is told the raw "deadlock detected".

Rule broken: CLEAN, only documented outcomes. Needs two requests and one preemption.
"""

from functools import partial

from reference_impl import service
from reference_impl.errors import NoActiveToken
from reference_impl.faulty.postgres.p07_failure_not_retried import ExpectsNoRefusal
from reference_impl.schema import initialise
from reference_impl.tokens import TokenStore, revoke_token

__all__ = ["NAME", "initialise", "open_service"]

NAME = "p12-lock-order"


class TokenFirst(TokenStore):
    """A token store that locks the agent last where it revokes."""

    async def revoke(self, agent: str, token_id: str) -> None:
        """As in the reference, where nobody rotates the token meanwhile."""
        async with self._database.transaction() as connection:
            revoked = await revoke_token(connection, agent, token_id)
            await self._alone_with(connection, agent)
            if not revoked:
                raise NoActiveToken(agent)


open_service = partial(service.open_service, database=ExpectsNoRefusal, tokens=TokenFirst)
