"""R17: the fingerprint is made of the request after the handler has changed it.

The handler cleans the name up before the answer is stored, and the fingerprint is stored with the answer. A retry sends
the client's original name, does not match, and is refused for ever.

Rule broken: LIVE, a retry is told the first answer. Needs one request and its retry.
"""

from functools import partial

from reference_impl import service
from reference_impl.agents import Agent, Agents, Refused, fingerprint_of
from reference_impl.backend import Connection
from reference_impl.database import initialise

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r17-fingerprint-after-change"


class CleansUp(Agents):
    """Agents with requests that are remembered as the handler left them."""

    async def _effect(self, connection: Connection, slug: str, name: str) -> Agent | Refused:
        answer = await super()._effect(connection, slug, name)
        await connection.execute(
            "UPDATE reservations SET fingerprint = ? WHERE fingerprint = ?",
            (fingerprint_of(slug), fingerprint_of(name)),
        )
        return answer


open_service = partial(service.open_service, agents=CleansUp)
