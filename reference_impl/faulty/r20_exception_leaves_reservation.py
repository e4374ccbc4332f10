"""R20: an exception leaves the reservation behind.

A client adds an agent under a slug that is taken. In this variant that error is not stored under the key but raised,
so that the client may try again. The reservation should then be released, but it stays: every retry waits for an
owner that has gone, and so does every request that waits already.

Rule broken: LIVE and PROMPT, once the owner has failed, a retry gets a definite answer without waiting. Needs
one request that fails, and its retry.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from reference_impl import service
from reference_impl.agents import Agents
from reference_impl.database import initialise
from reference_impl.reservations import Reservation, Reservations

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r20-exception-leaves-reservation"


class RaisingAgents(Agents):
    """Agents that store no error under the key."""

    definite = ()


class LeakingReservations(Reservations):
    """Reservations that end only where the work succeeds."""

    @asynccontextmanager
    async def holding(self, reservation: Reservation) -> AsyncIterator[None]:
        """Own a reservation for a block; do not release it where the block fails."""
        yield
        self._wake(reservation.scope)


open_service = partial(service.open_service, agents=RaisingAgents, reservations=LeakingReservations)
