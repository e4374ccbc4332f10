"""R01: the answers are kept in a dictionary in memory, by key: get, work, set.

Clients retry the creation of an agent under one key. Each request looks the key up, makes the agent where
there is no answer yet, and then stores the answer. If a second request looks while the first is at work, or
in another worker, it finds nothing and makes the agent again. The slug's ``-2`` hides the conflict that would
have shown this.

Rule broken: ONCE, at most one agent per caller and key. Needs two requests and one preemption; in two
workers, or after a restart, none.
"""

from functools import partial

from reference_impl import service
from reference_impl.agents import Agent, Agents, Created, fingerprint_of, slug_of
from reference_impl.backend import Backend
from reference_impl.database import initialise
from reference_impl.errors import KeyReused
from reference_impl.faulty.suffix import insert_with_suffix
from reference_impl.reservations import Reservations

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r01-get-then-set"


class CachedAgents(Agents):
    """Agents that remember an answer only after it was made, and only in this process."""

    def __init__(self, database: Backend, reservations: Reservations, *, patience: float) -> None:
        super().__init__(database, reservations, patience=patience)
        self._answers: dict[tuple[str, str], tuple[str, Agent]] = {}

    async def create(self, name: str, *, caller: str, key: str) -> Created:
        """Behave as the reference, as long as no two requests with one key overlap."""
        slug = slug_of(name)
        fingerprint = fingerprint_of(name)
        if (caller, key) in self._answers:
            known, agent = self._answers[caller, key]
            if known != fingerprint:
                raise KeyReused(key)
            return Created(agent, True)
        async with self._database.transaction() as connection:
            agent = await insert_with_suffix(connection, slug, name)
        self._answers[caller, key] = (fingerprint, agent)
        return Created(agent, False)


open_service = partial(service.open_service, agents=CachedAgents)
