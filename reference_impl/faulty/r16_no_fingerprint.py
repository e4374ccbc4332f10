"""R16: a key is not bound to the request it was first used for.

Clients add different agents, and two of them, by mistake, under the same key. Whoever comes second is told
the answer to the other request: the name it asked for is nowhere, and it was told that all went well.

Rule broken: SCOPE, no answer made for another payload. Needs two requests; no preemption.
"""

from functools import partial

from reference_impl import service
from reference_impl.agents import ENDPOINT, Agents
from reference_impl.database import initialise
from reference_impl.reservations import Finished, Proceed, Wait

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r16-no-fingerprint"


class UnboundAgents(Agents):
    """Agents with requests that all look the same to the reservations."""

    async def _reserve(self, name: str, caller: str, key: str) -> Proceed | Wait | Finished:
        return await self._reservations.try_reserve(key, caller=caller, endpoint=ENDPOINT, fingerprint="")


open_service = partial(service.open_service, agents=UnboundAgents)
