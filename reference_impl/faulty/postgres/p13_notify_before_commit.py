"""P13: that the key is finished is announced just before it is, over another connection.

PostgreSQL holds an announcement back until the transaction commits that makes it; one made elsewhere it does not. The waiter is
woken, looks, finds the key pending as before, and waits for the next word. There is none.

Rule broken: LIVE, every request is answered. Needs two workers and one preemption.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from reference_impl import service
from reference_impl.backend import Connection
from reference_impl.faulty.postgres.p03_lost_notify import WaitForWord
from reference_impl.reservations import Finished, Proceed, Reservation, Reservations, Wait
from reference_impl.schema import initialise
from reference_impl.scope import Scope

__all__ = ["NAME", "initialise", "open_service"]

NAME = "p13-notify-before-commit"


class AnnouncesEarly(Reservations):
    """Reservations that announce their end before it happens."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._announced: set[Reservation] = set()

    async def try_reserve(self, key: str, *, caller: str, endpoint: str, fingerprint: str) -> Proceed | Wait | Finished:
        """Reserve as in the reference, but a waiter relies on the announcement."""
        outcome = await super().try_reserve(key, caller=caller, endpoint=endpoint, fingerprint=fingerprint)
        if not isinstance(outcome, Wait):
            return outcome
        return WaitForWord(outcome.generation, outcome.lease_until, outcome.woken, outcome.look)

    async def set(self, connection: Connection, reservation: Reservation, result: str) -> None:
        """As in the reference, once it is announced."""
        await super()._announce(reservation.scope)
        self._announced.add(reservation)
        await super().set(connection, reservation, result)

    @asynccontextmanager
    async def holding(self, reservation: Reservation) -> AsyncIterator[None]:
        """As in the reference."""
        async with super().holding(reservation):
            yield
        self._announced.discard(reservation)

    async def _announce(self, scope: Scope) -> None:
        """As in the reference, unless it was announced by then."""
        if all(reservation.scope != scope for reservation in self._announced):
            await super()._announce(scope)


open_service = partial(service.open_service, reservations=AnnouncesEarly)
