"""R28: an owner releases its successor's reservation after its own lease has passed.

A worker is held up for longer than its lease; another worker takes the key over. The first one is then cancelled and
releases the key, which is not its own any more: it is the successor's, which is still at work.

Rule broken: OWNER, never two live owners of a key. Needs three requests, two preemptions, a lease that passes and a
cancellation.
"""

from functools import partial

from reference_impl import service
from reference_impl.database import initialise
from reference_impl.reservations import Reservation, Reservations

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r28-unfenced-release"


class ReleasedByAny(Reservations):
    """Reservations that any request may release."""

    async def release(self, reservation: Reservation) -> None:
        """Release the key, even where another owner has it by now."""
        async with self._database.autocommit() as connection:
            await connection.execute(
                "UPDATE reservations SET state = 'released', expires_at = ?"
                " WHERE caller = ? AND endpoint = ? AND key = ? AND state = 'pending'",
                (self._expiry(), *reservation.scope),
            )
        self._wake(reservation.scope)


open_service = partial(service.open_service, reservations=ReleasedByAny)
