"""T20: a cancelled call is tried again, as if it had had no effect.

The call that issues a token is cancelled after its commit, before it returns. It is tried again. The agent now has a
token, which is mistaken for one of this attempt, and the client gets a secret that belongs to no token.

Rule broken: TOKR, a returned token is real. Needs one request and a cancellation.
"""

import asyncio
import secrets
from functools import partial

from reference_impl import service
from reference_impl.database import initialise
from reference_impl.errors import ActiveTokenExists
from reference_impl.tokens import IssuedToken, TokenStore

__all__ = ["NAME", "initialise", "open_service"]

NAME = "t20-blind-retry"


class TriesAgain(TokenStore):
    """A token store that answers a cancellation by a second attempt."""

    async def issue(self, agent: str) -> IssuedToken:
        """Behave as the reference, as long as nothing is cancelled."""
        try:
            return await super().issue(agent)
        except asyncio.CancelledError:
            try:
                return await super().issue(agent)
            except ActiveTokenExists:
                token_id = await self.get_active(agent) or ""
                return IssuedToken(token_id, agent, f"{token_id}.{secrets.token_urlsafe(32)}")


open_service = partial(service.open_service, tokens=TriesAgain)
