"""R38: a waiter that has waited long enough does the work itself.

The owner is slow. Whoever waits for it loses patience and, rather than say so, makes the agent, under the next free slug.

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
    """Agents that are made whatever others do."""

    async def create(self, name: str, *, caller: str, key: str) -> Created:
        """As in the reference, where nobody waits too long."""
        try:
            return await super().create(name, caller=caller, key=key)
        except StillInProgress:
            async with self._database.transaction() as connection:
                agent: Agent = await self._effect(connection, slug_of(name), name)
            return Created(agent, False)


open_service = partial(service.open_service, agents=Impatient)
