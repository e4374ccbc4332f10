"""R24: the effect is one transaction and the completion of the key another.

A worker is killed between the two: the agent is there, but the key is still pending. The retry takes over and makes the
agent again, under the next free slug.

Rule broken: ONCE, at most one agent per caller and key. Needs one request and a crash.
"""

from functools import partial

from reference_impl import service
from reference_impl.agents import encoded
from reference_impl.database import initialise
from reference_impl.faulty.suffix import SuffixedAgents
from reference_impl.reservations import Reservation

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r24-two-transactions"


class FinishesLater(SuffixedAgents):
    """Agents that are committed first; a second transaction finishes the key."""

    async def _create(self, reservation: Reservation, slug: str, name: str) -> str:
        async with self._reservations.holding(reservation):
            async with self._database.transaction() as connection:
                result = encoded(await self._effect(connection, slug, name))
            async with self._database.transaction() as connection:
                await self._reservations.set(connection, reservation, result)
        return result


open_service = partial(service.open_service, agents=FinishesLater)
