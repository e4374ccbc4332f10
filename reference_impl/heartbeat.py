"""Keeps an owner's lease from passing while it works."""

import asyncio
import logging
from typing import Generic, Protocol, TypeVar

from reference_impl.background import Background
from reference_impl.errors import ServiceError

LOG = logging.getLogger(__name__)

R = TypeVar("R", contravariant=True)


class Leases(Protocol[R]):
    """A grantor of leases."""

    lease: float

    async def extend(self, reservation: R, /) -> bool:
        """Begin the lease of a reservation anew; return False where it is no longer ours."""


class Heartbeat(Generic[R]):
    """Extends a lease each time a third of it has passed, until it is stopped or the reservation is lost.

    No task exists until the first third has passed, so work that is done sooner costs nothing.

    Args:
        leases: what grants the lease.
        background: keeps the task that extends it.
        reservation: whose lease it is.
    """

    def __init__(self, leases: Leases[R], background: Background, reservation: R) -> None:
        self._leases, self._background, self._reservation = leases, background, reservation
        self._stopped = False
        self._due = self._wait()

    def stop(self) -> None:
        """Extend no more. An extension under way may end: it changes nothing that is not ours."""
        self._stopped = True
        self._due.cancel()

    def _wait(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._leases.lease / 3, self._beat)

    def _beat(self) -> None:
        self._background.start(self._extend())

    async def _extend(self) -> None:
        try:
            ours = await self._leases.extend(self._reservation)
        except ServiceError:
            LOG.warning("could not extend %s", self._reservation, exc_info=True)
            ours = True  # as far as is known: the next beat will tell
        if ours and not self._stopped:
            self._due = self._wait()
