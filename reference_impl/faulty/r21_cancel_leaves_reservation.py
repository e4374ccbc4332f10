"""R21: the reservation is released where the work fails, but not where it is cancelled.

``except Exception`` does not catch ``CancelledError``. A request is cancelled, for instance by a time-out, and its retry
waits for an owner that has gone.

Rule broken: LIVE and PROMPT, once the owner has gone, a retry need not wait. Needs one request and a cancellation.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from reference_impl import service
from reference_impl.database import initialise
from reference_impl.reservations import Reservation, Reservations

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r21-cancel-leaves-reservation"


class UncaughtCancellation(Reservations):
    """Reservations that are released only where an ``Exception`` leaves the block."""

    @asynccontextmanager
    async def holding(self, reservation: Reservation) -> AsyncIterator[None]:
        """Own a reservation for a block; do not release it where the block is cancelled."""
        try:
            yield
        except Exception:
            await self._give_up(reservation)
            raise
        self._wake(reservation.scope)


open_service = partial(service.open_service, reservations=UncaughtCancellation)
