"""R08: an owner commits without checking that it still owns the key.

A worker is held up for longer than its lease; another worker takes the key over and makes the agent. Then the first
one goes on and makes the agent again, under the next free slug.

Rule broken: ONCE, at most one agent per caller and key. Needs two requests, one preemption, a lease that passes.
"""

from functools import partial

from reference_impl import service
from reference_impl.backend import Connection
from reference_impl.database import initialise
from reference_impl.faulty.suffix import SuffixedAgents
from reference_impl.reservations import Reservation, Reservations

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r08-no-fence"


class Unfenced(Reservations):
    """Reservations that any request may finish."""

    async def set(self, connection: Connection, reservation: Reservation, result: str) -> None:
        """Finish the key, even where another owner has it by now."""
        await connection.execute(
            "UPDATE reservations SET state = 'finished', result = ?, expires_at = ?"
            " WHERE caller = ? AND endpoint = ? AND key = ?",
            (result, self._expiry(), *reservation.scope),
        )


open_service = partial(service.open_service, reservations=Unfenced, agents=SuffixedAgents)
