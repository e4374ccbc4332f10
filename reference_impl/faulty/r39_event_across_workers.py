"""R39: a waiter waits for an event of its own process, even where the owner is in another.

The owner is in another worker, and when it finishes it sets an event there that nothing waits for. The waiter is not
woken, and tells its client that the request is still in progress, long after it was done.

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
    """Waits for the event, and never looks at the database."""

    async def changed(self, timeout: float) -> bool:
        """Wait until the event is set; return False where the time is over first."""
        try:
            async with asyncio.timeout(max(timeout, 0.0)):
                await self.woken.wait()
        except TimeoutError:
            return False
        return True


class EventsOnly(Reservations):
    """Reservations that a waiter does not look at again."""

    async def try_reserve(self, key: str, *, caller: str, endpoint: str, fingerprint: str) -> Proceed | Wait | Finished:
        """Behave as the reference, as long as the owner is in this process."""
        outcome = await super().try_reserve(key, caller=caller, endpoint=endpoint, fingerprint=fingerprint)
        if not isinstance(outcome, Wait):
            return outcome
        return WaitForEvent(outcome.generation, outcome.lease_until, outcome.woken, outcome.look)


open_service = partial(service.open_service, reservations=EventsOnly)
