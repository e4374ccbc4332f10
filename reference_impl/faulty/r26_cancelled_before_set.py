"""R26: a request that is cancelled after its commit, before its answer is stored, releases the key.

The agent is committed, and then its answer is stored. A cancellation in between releases the key, which is right only
where nothing was done. The retry makes the agent again, under the next free slug.

Rule broken: ONCE, at most one agent per caller and key. Needs one request and a cancellation.
"""

from functools import partial

from reference_impl import service
from reference_impl.agents import encoded
from reference_impl.database import initialise
from reference_impl.faulty.suffix import SuffixedAgents
from reference_impl.reservations import Reservation

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r26-cancelled-before-set"


class StoresAfterwards(SuffixedAgents):
    """Agents that are committed first; a statement of its own then stores the answer."""

    async def _create(self, reservation: Reservation, slug: str, name: str) -> str:
        async with self._reservations.holding(reservation):
            async with self._database.transaction() as connection:
                result = encoded(await self._effect(connection, slug, name))
            async with self._database.autocommit() as connection:
                await self._reservations.set(connection, reservation, result)
        return result


open_service = partial(service.open_service, agents=StoresAfterwards)
