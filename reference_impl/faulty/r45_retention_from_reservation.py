"""R45: the retention of an answer counts from the reservation of the key, not from its completion.

The work takes longer than the retention. When the work is done, its answer has already expired, and a retry makes the
agent again, under the next free slug.

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
    """Reservations with a retention that counts from the start of the lease."""

    async def set(self, connection: Connection, reservation: Reservation, result: str) -> None:
        """Finish the key; its retention has begun with the lease."""
        cursor = await connection.execute(
            f"UPDATE reservations SET state = 'finished', result = ?, expires_at = lease_until - ? + ? {self.FENCE}",
            (result, self.lease, self.retention, *reservation.scope, reservation.generation),
        )
        if cursor.rowcount != 1:
            raise ReservationLost(reservation.scope.key)


open_service = partial(service.open_service, reservations=CountsFromReservation, agents=SuffixedAgents)
