"""R17: the fingerprint is that of the request as the handler changed it, not as the client sent it.

The handler cleans the name up before the answer is stored, and stores the cleaned name's fingerprint with the answer.
A retry sends the original name, does not match the fingerprint, and is refused for ever.

Rule broken: LIVE, a retry gets the first answer. Needs one request and its retry.
"""

from functools import partial

from reference_impl import service
from reference_impl.agents import Agent, Agents, Refused, fingerprint_of
from reference_impl.backend import Connection
from reference_impl.database import initialise

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r17-fingerprint-after-change"


class CleansUp(Agents):
    """Agents that fingerprint the cleaned name."""

    async def _effect(self, connection: Connection, slug: str, name: str) -> Agent | Refused:
        answer = await super()._effect(connection, slug, name)
        await connection.execute(
            "UPDATE reservations SET fingerprint = ? WHERE fingerprint = ?",
            (fingerprint_of(slug), fingerprint_of(name)),
        )
        return answer


open_service = partial(service.open_service, agents=CleansUp)
