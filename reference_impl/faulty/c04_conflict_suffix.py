"""C04: a retry that finds its slug taken makes a second agent with the suffix ``-2`` instead of replaying the answer.

Clients retry the creation of an agent under one key. A request whose key has no answer yet makes the agent,
under the first free slug, and stores the answer in the same transaction. If a retry has looked for the answer
just before the first request commits, it finds the slug taken. It should find out whether its own key's agent
has the slug; instead it takes the next slug.

Rule broken: ONCE, at most one agent per caller and key. Needs two requests and one preemption.
"""

from functools import partial

from reference_impl import service
from reference_impl.agents import ENDPOINT, Agents, Created, decoded, encoded, fingerprint_of, slug_of
from reference_impl.database import initialise
from reference_impl.errors import KeyReused
from reference_impl.faulty.suffix import insert_with_suffix
from reference_impl.reservations import Scope

__all__ = ["NAME", "initialise", "open_service"]

NAME = "c04-conflict-suffix"


class SuffixedAgents(Agents):
    """Agents that look for the key's answer first, and then avoid every conflict by a suffix."""

    async def create(self, name: str, *, caller: str, key: str) -> Created:
        """Behave as the reference, as long as no two requests with one key overlap."""
        slug = slug_of(name)
        scope = Scope(caller, ENDPOINT, key)
        record = await self._reservations.look(scope)
        if record is not None and record.fingerprint != fingerprint_of(name):
            raise KeyReused(key)
        if record is not None and record.result is not None:
            return decoded(record.result, True)
        async with self._database.transaction() as connection:
            agent = await insert_with_suffix(connection, slug, name)
            await connection.execute(
                "INSERT INTO reservations"
                " (caller, endpoint, key, fingerprint, state, generation, result)"
                " VALUES (?, ?, ?, ?, 'finished', 1, ?) ON CONFLICT DO NOTHING",
                (*scope, fingerprint_of(name), encoded(agent)),
            )
        return Created(agent, False)


open_service = partial(service.open_service, agents=SuffixedAgents)
