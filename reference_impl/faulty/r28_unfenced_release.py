"""R28: an owner after its lease releases its successor's reservation.

A worker is held up for longer than its lease; another takes the key over. The first one is then cancelled and gives the
key up: not its own any more, but the successor's, which is still at work.

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
    """Reservations that anybody may release."""

    async def release(self, reservation: Reservation) -> None:
        """Give the key up, even if it has another owner by now."""
        async with self._database.autocommit() as connection:
            await connection.execute(
                "UPDATE reservations SET state = 'released', expires_at = ?"
                " WHERE caller = ? AND endpoint = ? AND key = ? AND state = 'pending'",
                (self._expiry(), *reservation.scope),
            )
        self._wake(reservation.scope)


open_service = partial(service.open_service, reservations=ReleasedByAny)
