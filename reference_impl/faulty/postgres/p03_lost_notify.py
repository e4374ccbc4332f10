"""P03: a waiter looks first and listens afterwards, and relies on the announcement.

The waiter finds the key pending. Before it listens, the owner finishes and announces that. Nobody receives the
announcement, and the waiter then waits for one that is already over.

Rule broken: LIVE, every request is answered. Needs two workers and two preemptions.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from reference_impl import service
from reference_impl.postgres.database import PostgresDatabase
from reference_impl.reservations import Finished, Proceed, Reservations, Wait
from reference_impl.schema import initialise

__all__ = ["NAME", "initialise", "open_service"]

NAME = "p03-lost-notify"


class ListensWhenTold(PostgresDatabase):
    """A database that starts listening only by :meth:`listen_now`."""

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Do nothing: listening starts later, by :meth:`listen_now`."""

    async def listen_now(self, heard: Callable[[str], None]) -> None:
        """Listen, as the reference does."""
        await super().listen(heard)


@dataclass(frozen=True, slots=True)
class WaitForWord(Wait):
    """Waits for an announcement, and never looks at the database."""

    async def changed(self, timeout: float) -> bool:
        """Wait until the event is set; return False where the time is over first."""
        try:
            async with asyncio.timeout(max(timeout, 0.0)):
                await self.woken.wait()
        except TimeoutError:
            return False
        return True


class ListensLate(Reservations):
    """Reservations that listen only after a waiter's look."""

    async def try_reserve(self, key: str, *, caller: str, endpoint: str, fingerprint: str) -> Proceed | Wait | Finished:
        """Behave as the reference, as long as no announcement comes between the look and the LISTEN."""
        outcome = await super().try_reserve(key, caller=caller, endpoint=endpoint, fingerprint=fingerprint)
        if not isinstance(outcome, Wait):
            return outcome
        assert isinstance(self._database, ListensWhenTold)
        await self._database.listen_now(self._heard)
        return WaitForWord(outcome.generation, outcome.lease_until, outcome.woken, outcome.look)


open_service = partial(service.open_service, database=ListensWhenTold, reservations=ListensLate)
