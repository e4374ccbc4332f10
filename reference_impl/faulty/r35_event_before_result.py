"""R35: the waiters are woken before the answer is stored.

The owner wakes the waiters in its process and then commits. A waiter that looks in between finds no answer, and its
client gets None.

Rule broken: REAL, no empty answer. Needs two requests in one worker and one preemption.
"""

from functools import partial

from reference_impl import service
from reference_impl.agents import ENDPOINT, Agents, Created, decoded, slug_of
from reference_impl.backend import Connection
from reference_impl.database import initialise
from reference_impl.reservations import Finished, Proceed, Reservation, Reservations, Scope, Wait

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r35-event-before-result"


class WakesFirst(Reservations):
    """Reservations that wake their waiters before there is an answer."""

    async def set(self, connection: Connection, reservation: Reservation, result: str) -> None:
        """Wake the waiters, and finish the key."""
        self._wake(reservation.scope)
        await super().set(connection, reservation, result)


class Gets(Agents):
    """Agents that get the answer after waiting."""

    async def create(self, name: str, *, caller: str, key: str) -> Created:
        """Behave as the reference, as long as a waiter looks only after the answer was stored."""
        slug = slug_of(name)
        match await self._reserve(name, caller, key):
            case Proceed(reservation):
                return decoded(await self._create(reservation, slug, name), False)
            case Finished(result):
                return decoded(result, True)
            case Wait() as wait:
                await wait.changed(self._patience)
                record = await self._reservations.look(Scope(caller, ENDPOINT, key))
                if record is not None and record.result is not None:
                    return decoded(record.result, True)
                return Created(None, True)  # type: ignore[arg-type]  # the defect


open_service = partial(service.open_service, reservations=WakesFirst, agents=Gets)
