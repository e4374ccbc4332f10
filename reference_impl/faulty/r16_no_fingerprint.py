"""R16: a key is not bound to the request that first used it.

Clients add different agents, and two of them use the same key by mistake. The second one gets the answer to the
first one's request: a success, although the agent that it asked for was not made.

Rule broken: SCOPE, no answer that was made for another request. Needs two requests; no preemption.
"""

from functools import partial

from reference_impl import service
from reference_impl.agents import ENDPOINT, Agents
from reference_impl.database import initialise
from reference_impl.reservations import Finished, Proceed, Wait

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r16-no-fingerprint"


class UnboundAgents(Agents):
    """Agents that give every request the same fingerprint."""

    async def _reserve(self, name: str, caller: str, key: str) -> Proceed | Wait | Finished:
        return await self._reservations.try_reserve(key, caller=caller, endpoint=ENDPOINT, fingerprint="")


open_service = partial(service.open_service, agents=UnboundAgents)
