"""P13: the end of the work is announced just before its transaction commits, over another connection.

PostgreSQL holds an announcement back until the transaction that makes it commits. An announcement over another connection
is sent at once. The waiter is woken, looks, finds the key still pending, and waits for the next announcement, which never
comes.

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
    """Reservations that announce their end before the commit, and not again after it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._announced: set[Reservation] = set()

    async def try_reserve(self, key: str, *, caller: str, endpoint: str, fingerprint: str) -> Proceed | Wait | Finished:
        """Behave as the reference, but with waiters that rely on the announcement."""
        outcome = await super().try_reserve(key, caller=caller, endpoint=endpoint, fingerprint=fingerprint)
        if not isinstance(outcome, Wait):
            return outcome
        return WaitForWord(outcome.generation, outcome.lease_until, outcome.woken, outcome.look)

    async def set(self, connection: Connection, reservation: Reservation, result: str) -> None:
        """Announce the end over another connection, then finish the key as the reference does."""
        await super()._announce(reservation.scope)
        self._announced.add(reservation)
        await super().set(connection, reservation, result)

    @asynccontextmanager
    async def holding(self, reservation: Reservation) -> AsyncIterator[None]:
        """Own a reservation for a block, as the reference does, and then forget that its end was announced."""
        async with super().holding(reservation):
            yield
        self._announced.discard(reservation)

    async def _announce(self, scope: Scope) -> None:
        """Announce a change, as the reference does, unless it was announced before the commit."""
        if all(reservation.scope != scope for reservation in self._announced):
            await super()._announce(scope)


open_service = partial(service.open_service, reservations=AnnouncesEarly)
