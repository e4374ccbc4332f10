"""P06: a transaction that is tried again after a serialization failure remembers that its work was done before.

Agents are made under SERIALIZABLE, and a transaction that was refused is tried again. So that nothing is done twice,
each agent made is noted in memory as soon as it is made. The refusal undoes the agent and not the note: the second
attempt finds the note, and the client is told of an agent that is not there.

Rule broken: REAL, no success without a durable effect. Needs two requests with different keys and one preemption.
"""

from functools import partial
from typing import Any, ClassVar

from reference_impl import service
from reference_impl.agents import encoded
from reference_impl.backend import Connection
from reference_impl.faulty.suffix import SuffixedAgents
from reference_impl.postgres.database import PostgresDatabase
from reference_impl.reservations import Reservation
from reference_impl.schema import initialise

__all__ = ["NAME", "initialise", "open_service"]

NAME = "p06-retry-keeps-effects"


class Serializable(PostgresDatabase):
    """A database with serializable transactions: some are refused to keep them so."""

    ISOLATION: ClassVar[str] = "SERIALIZABLE"


class NotesWhatItMade(SuffixedAgents):
    """Agents that are noted when they are made."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._made: dict[Reservation, str] = {}

    async def _create(self, reservation: Reservation, slug: str, name: str) -> str:
        async def work(connection: Connection) -> str:
            if reservation not in self._made:
                self._made[reservation] = encoded(await self._effect(connection, slug, name))
                await self._reservations.set(connection, reservation, self._made[reservation])
            return self._made[reservation]

        async with self._reservations.holding(reservation):
            return await self._database.run(work)


open_service = partial(service.open_service, database=Serializable, agents=NotesWhatItMade)
