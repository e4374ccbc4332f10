"""R39: a waiter waits for an event of its own process, wherever the owner is.

The owner works in another worker, where its end sets an event that nobody waits for. The waiter here is not woken, and
tells its client that the request is still in progress, long after it was done.

Rule broken: LIVE, every request is answered once the owner is done. Needs two workers and one preemption.
"""

import asyncio
from dataclasses import dataclass
from functools import partial

from reference_impl import service
from reference_impl.database import initialise
from reference_impl.reservations import Finished, Proceed, Reservations, Wait

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r39-event-across-workers"


@dataclass(frozen=True, slots=True)
class WaitForEvent(Wait):
    """Waits for the event alone."""

    async def changed(self, timeout: float) -> bool:
        """Wait until the event is set."""
        try:
            async with asyncio.timeout(max(timeout, 0.0)):
                await self.woken.wait()
        except TimeoutError:
            return False
        return True


class EventsOnly(Reservations):
    """Reservations that are not looked at again while waiting."""

    async def try_reserve(self, key: str, *, caller: str, endpoint: str, fingerprint: str) -> Proceed | Wait | Finished:
        """As in the reference, where the owner is in this process."""
        outcome = await super().try_reserve(key, caller=caller, endpoint=endpoint, fingerprint=fingerprint)
        if not isinstance(outcome, Wait):
            return outcome
        return WaitForEvent(outcome.generation, outcome.lease_until, outcome.woken, outcome.look)


open_service = partial(service.open_service, reservations=EventsOnly)
