"""P12: a revocation locks the token and then its agent; a rotation locks the agent and then its token.

One client revokes a token while another rotates it. Each has locked the row that the other needs next. PostgreSQL finds the
deadlock and undoes one of the transactions. The code does not try that one again, and the client gets the raw "deadlock
detected".

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
    """A token store with revocations that lock the token first and the agent last."""

    async def revoke(self, agent: str, token_id: str) -> None:
        """Behave as the reference, as long as no other request rotates the token meanwhile."""
        async with self._database.transaction() as connection:
            revoked = await revoke_token(connection, agent, token_id)
            await self._alone_with(connection, agent)
            if not revoked:
                raise NoActiveToken(agent)


open_service = partial(service.open_service, database=ExpectsNoRefusal, tokens=TokenFirst)
