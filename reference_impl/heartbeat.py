"""The heartbeat that extends an owner's lease while the owner works."""

import asyncio
import logging
from typing import Generic, Protocol, TypeVar

from reference_impl.background import Background
from reference_impl.errors import ServiceError

LOG = logging.getLogger(__name__)

R = TypeVar("R", contravariant=True)


class Leases(Protocol[R]):
    """Grants and extends leases."""

    lease: float

    async def extend(self, reservation: R, /) -> bool:
        """Begin the lease of a reservation anew; return False where the reservation is no longer the owner's."""


class Heartbeat(Generic[R]):
    """Extends a lease each time a third of it has passed, until stopped or until the reservation is lost.

    It starts no task before the first third has passed, so shorter work costs only a timer.

    Args:
        leases: extends the lease.
        background: keeps the task that extends the lease.
        reservation: the reservation that the lease belongs to.
    """

    def __init__(self, leases: Leases[R], background: Background, reservation: R) -> None:
        self._leases, self._background, self._reservation = leases, background, reservation
        self._stopped = False
        self._due = self._wait()

    def stop(self) -> None:
        """Stop extending. An extension under way may still end: it changes only a reservation that is the owner's."""
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
