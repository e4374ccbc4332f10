"""P06: a retry after a serialization failure believes a note in memory that the work was already done.

Agents are made under SERIALIZABLE, and a transaction that is refused is tried again. To do nothing twice, the worker notes
in memory each agent that it has made, before the commit. The refusal undoes the agent but not the note. The second attempt
finds the note, and the client gets an agent that is not there.

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
    """A database with serializable transactions, some of which the server refuses."""

    ISOLATION: ClassVar[str] = "SERIALIZABLE"


class NotesWhatItMade(SuffixedAgents):
    """Agents that are noted in memory before they are committed."""

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
