"""R22: giving a key up resolves it with nothing and keeps the entry.

The owner's statement fails, and the reservation is resolved so that waiters wake; there is no answer to give them, so
they are told that the service is unavailable. The entry stays, and with it that answer.

Rule broken: LIVE, a retry is answered. Needs one request and an error.
"""

from functools import partial

from reference_impl import service
from reference_impl.agents import Refused, encoded
from reference_impl.database import initialise
from reference_impl.errors import StorageFailed
from reference_impl.reservations import Reservation, Reservations

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r22-release-resolves-with-nothing"


class ResolvesWithNothing(Reservations):
    """Reservations that end with an answer or with none, and are kept either way."""

    async def release(self, reservation: Reservation) -> None:
        """Resolve the key without an answer."""
        async with self._database.autocommit() as connection:
            await self.set(connection, reservation, encoded(Refused(StorageFailed("there is no answer"))))
        self._wake(reservation.scope)


open_service = partial(service.open_service, reservations=ResolvesWithNothing)
