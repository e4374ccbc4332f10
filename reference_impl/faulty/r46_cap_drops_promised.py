"""R46: when the store is full, it drops stored answers before their retention is over.

Two clients use two keys, and the store holds one. The answer to the first is dropped for the second, although its
retention is not over. A retry of the first makes its agent again, under the next free slug.

Rule broken: ONCE, at most one agent per caller and key. Needs two keys; no preemption.
"""

from functools import partial

from reference_impl import service
from reference_impl.database import initialise
from reference_impl.faulty.suffix import SuffixedAgents
from reference_impl.reservations import Reservations

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r46-cap-drops-promised"


class DropsOldest(Reservations):
    """Reservations that are dropped to make room for new ones."""

    async def sweep(self) -> None:
        """Delete every finished record."""
        async with self._database.autocommit() as connection:
            await connection.execute("DELETE FROM reservations WHERE state = 'finished'")


open_service = partial(service.open_service, reservations=DropsOldest, agents=SuffixedAgents)
