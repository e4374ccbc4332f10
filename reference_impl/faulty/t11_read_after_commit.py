"""T11: a rotation commits first, then reads "the active token" and returns that.

Clients rotate an agent's token. Each rotation commits its own token, then reads the active token's id to report
it. If another rotation commits in between, the first reports the other's id: the secret and the id in its answer do
not belong together, and revoking "its" token by that id revokes the other client's.

Rule broken: TOKR, a returned token was made by this call. Needs two requests and one preemption.
"""

from dataclasses import replace
from functools import partial

from reference_impl import service
from reference_impl.database import initialise
from reference_impl.errors import NoActiveToken
from reference_impl.tokens import IssuedToken, TokenStore

__all__ = ["NAME", "initialise", "open_service"]

NAME = "t11-read-after-commit"


class ReadingTokenStore(TokenStore):
    """A token store that reports the token that is active afterwards, not the one that it made."""

    async def issue(self, agent: str) -> IssuedToken:
        """Behave as the reference, as long as no other request changes the agent's token meanwhile."""
        return await self._as_found(await super().issue(agent))

    async def rotate(self, agent: str) -> IssuedToken:
        """Behave as the reference, as long as no other request changes the agent's token meanwhile."""
        return await self._as_found(await super().rotate(agent))

    async def _as_found(self, token: IssuedToken) -> IssuedToken:
        active = await self.get_active(token.agent)
        if active is None:
            raise NoActiveToken(token.agent)
        return replace(token, id=active)


open_service = partial(service.open_service, tokens=ReadingTokenStore)
