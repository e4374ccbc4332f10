"""T21: a worker remembers the tokens that it has verified, and does not ask the database again.

An agent authenticates with each request. Its worker looked the token up once and keeps the answer. A manager revokes the
token at another worker, and the revocation is acknowledged. The worker that remembers the token goes on accepting it.

Rule broken: AUTH, a token does not work once its revocation was acknowledged. Needs two requests with the token
and the revocation between them; no preemption.
"""

from functools import partial
from typing import Any

from reference_impl import service
from reference_impl.database import initialise
from reference_impl.tokens import TokenStore

__all__ = ["NAME", "initialise", "open_service"]

NAME = "t21-remembers-verified"


class RememberingTokenStore(TokenStore):
    """A token store with a cache of verified secrets."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._verified: dict[str, str] = {}

    async def verify(self, secret: str) -> str | None:
        """Behave as the reference, for a secret that this worker has not verified before."""
        if secret not in self._verified:
            agent = await super().verify(secret)
            if agent is None:
                return None
            self._verified[secret] = agent
        return self._verified[secret]

    async def revoke(self, agent: str, token_id: str) -> None:
        """Revoke one token, and clear this worker's cache."""
        await super().revoke(agent, token_id)
        self._verified.clear()


open_service = partial(service.open_service, tokens=RememberingTokenStore)
