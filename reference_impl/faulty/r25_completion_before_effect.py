"""R25: the key is finished before the agent is made.

A worker is killed between the two: every retry gets an agent that is not there.

Rule broken: REAL, no success without a durable effect. Needs one request and a crash.
"""

import secrets
from functools import partial

from reference_impl import service
from reference_impl.agents import Agent, Agents, encoded, insert
from reference_impl.database import initialise
from reference_impl.reservations import Reservation

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r25-completion-before-effect"


class FinishesFirst(Agents):
    """Agents that are committed after the transaction that finishes the key."""

    async def _create(self, reservation: Reservation, slug: str, name: str) -> str:
        agent = Agent(secrets.token_hex(8), slug, name)
        async with self._reservations.holding(reservation):
            async with self._database.transaction() as connection:
                await self._reservations.set(connection, reservation, encoded(agent))
            async with self._database.transaction() as connection:
                await insert(connection, agent)
        return encoded(agent)


open_service = partial(service.open_service, agents=FinishesFirst)
