"""R36: a waiter looks first and registers afterwards.

It finds the key pending; before it has registered, the owner finishes and wakes whoever is registered. Then the waiter
registers, and waits for a wake-up that has been.

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
    """Waits for the event alone."""

    async def changed(self, timeout: float) -> bool:
        """Wait until the event is set."""
        try:
            async with asyncio.timeout(max(timeout, 0.0)):
                await self.woken.wait()
        except TimeoutError:
            return False
        return True


class RegistersLate(Reservations):
    """Reservations with waiters that register after they have looked twice."""

    async def try_reserve(self, key: str, *, caller: str, endpoint: str, fingerprint: str) -> Proceed | Wait | Finished:
        """As in the reference, where nothing happens between the look and the registration."""
        outcome = await super().try_reserve(key, caller=caller, endpoint=endpoint, fingerprint=fingerprint)
        if not isinstance(outcome, Wait):
            return outcome
        scope = self.scope_of(caller, endpoint, key)
        self._events.pop(scope, None)
        await self.look(scope)  # for the log
        woken = self._events.setdefault(scope, asyncio.Event())
        return WaitForEvent(outcome.generation, outcome.lease_until, woken, outcome.look)


open_service = partial(service.open_service, reservations=RegistersLate)
