"""R38: a waiter that has waited too long does the work itself.

The owner is slow. The request that waits for it reaches its time-out and, instead of reporting that, makes the agent,
under the next free slug.

Rule broken: ONCE, at most one agent per caller and key. Needs two requests, one preemption and a time-out.
"""

from functools import partial

from reference_impl import service
from reference_impl.agents import Agent, Created, slug_of
from reference_impl.database import initialise
from reference_impl.errors import StillInProgress
from reference_impl.faulty.suffix import SuffixedAgents

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r38-timed-out-waiter-works"


class Impatient(SuffixedAgents):
    """Agents that are made without a reservation once the wait for it has timed out."""

    async def create(self, name: str, *, caller: str, key: str) -> Created:
        """Behave as the reference, as long as no request waits too long."""
        try:
            return await super().create(name, caller=caller, key=key)
        except StillInProgress:
            async with self._database.transaction() as connection:
                agent: Agent = await self._effect(connection, slug_of(name), name)
            return Created(agent, False)


open_service = partial(service.open_service, agents=Impatient)
