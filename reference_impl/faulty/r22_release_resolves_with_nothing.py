"""R22: releasing a key finishes it with an error and keeps the record.

The owner's statement fails, and the reservation is finished so that waiters wake. There is no answer for them, so they
are told that the service is unavailable. The record stays, and with it that answer.

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
    """Reservations that are finished with an error where they should be released."""

    async def release(self, reservation: Reservation) -> None:
        """Finish the key with an error that says that there is no answer."""
        async with self._database.autocommit() as connection:
            await self.set(connection, reservation, encoded(Refused(StorageFailed("there is no answer"))))
        self._wake(reservation.scope)


open_service = partial(service.open_service, reservations=ResolvesWithNothing)
