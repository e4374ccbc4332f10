"""R45: an answer is remembered for so long after the key was reserved.

The work took longer than an answer is kept. When it is done its answer has expired already, and a retry makes the agent
again, under the next free slug.

Rule broken: ONCE, at most one agent per caller and key. Needs one request, its retry, and time that passes.
"""

from functools import partial

from reference_impl import service
from reference_impl.backend import Connection
from reference_impl.database import initialise
from reference_impl.errors import ReservationLost
from reference_impl.faulty.suffix import SuffixedAgents
from reference_impl.reservations import Reservation, Reservations

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r45-retention-from-reservation"


class CountsFromReservation(Reservations):
    """Reservations with answers that expire a fixed time after the reservation."""

    async def set(self, connection: Connection, reservation: Reservation, result: str) -> None:
        """Finish the key."""
        cursor = await connection.execute(
            f"UPDATE reservations SET state = 'finished', result = ?, expires_at = lease_until - ? + ? {self.FENCE}",
            (result, self.lease, self.retention, *reservation.scope, reservation.generation),
        )
        if cursor.rowcount != 1:
            raise ReservationLost(reservation.scope.key)


open_service = partial(service.open_service, reservations=CountsFromReservation, agents=SuffixedAgents)
