"""R30: the heartbeat writes the record without checking that it still owns the key.

A worker is held up for longer than its lease; another worker takes the key over. Then the first one's heartbeat beats,
and the key is the first one's again, while the second is still at work.

Rule broken: OWNER, never two live owners of a key. Needs two requests, one preemption, a lease that passes.
"""

from functools import partial

from reference_impl import service
from reference_impl.backend import Connection
from reference_impl.database import initialise
from reference_impl.reservations import Reservation, Reservations

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r30-blind-heartbeat"


class BlindHeartbeat(Reservations):
    """Reservations that a heartbeat extends by overwriting the record."""

    async def hold(self, connection: Connection, reservation: Reservation) -> bool:
        """Begin the lease anew, even where another owner has the key by now."""
        await connection.execute(
            "UPDATE reservations SET state = 'pending', generation = ?, lease_until = ?"
            " WHERE caller = ? AND endpoint = ? AND key = ? AND state = 'pending'",
            (reservation.generation, self._deadline(), *reservation.scope),
        )
        return True


open_service = partial(service.open_service, reservations=BlindHeartbeat)
