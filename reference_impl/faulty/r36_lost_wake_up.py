"""R36: a waiter looks first and registers for the wake-up afterwards.

The waiter finds the key pending. Before it has registered, the owner finishes and wakes the waiters that are registered.
Then the waiter registers, and waits for a wake-up that is already over.

Rule broken: LIVE, every request is answered. Needs two requests in one worker and two preemptions.
"""

import asyncio
from dataclasses import dataclass
from functools import partial

from reference_impl import service
from reference_impl.database import initialise
from reference_impl.reservations import Finished, Proceed, Reservations, Wait

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r36-lost-wake-up"


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


class RegistersLate(Reservations):
    """Reservations that register a waiter's event only after a second look."""

    async def try_reserve(self, key: str, *, caller: str, endpoint: str, fingerprint: str) -> Proceed | Wait | Finished:
        """Behave as the reference, as long as nothing happens between the look and the registration."""
        outcome = await super().try_reserve(key, caller=caller, endpoint=endpoint, fingerprint=fingerprint)
        if not isinstance(outcome, Wait):
            return outcome
        scope = self.scope_of(caller, endpoint, key)
        self._events.pop(scope, None)
        await self.look(scope)  # for the log
        woken = self._events.setdefault(scope, asyncio.Event())
        return WaitForEvent(outcome.generation, outcome.lease_until, woken, outcome.look)


open_service = partial(service.open_service, reservations=RegistersLate)
