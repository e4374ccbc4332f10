"""R20: an exception leaves the reservation behind.

A client adds an agent under a slug that is taken. Here that error is not stored under the key but raised, so
that the client may try again. The reservation, which should be released on the way out, stays: every retry
waits for an owner that is long gone, and so does every request that waits already.

Rule broken: LIVE and PROMPT, once the owner has failed a retry gets a definite answer without waiting. Needs
one request that fails, and its retry.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from reference_impl.agents import Agents
from reference_impl.database import Database, initialise
from reference_impl.reservations import Reservation, Reservations
from reference_impl.service import Service, assemble

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r20-exception-leaves-reservation"


class RaisingAgents(Agents):
    """Agents that store no error under the key."""

    definite = ()


class LeakingReservations(Reservations):
    """Reservations that end well or not at all."""

    @asynccontextmanager
    async def holding(self, reservation: Reservation) -> AsyncIterator[None]:
        """Own a reservation for a block that does not fail."""
        yield
        self._wake(reservation.scope)


async def open_service(path: str | os.PathLike[str], *, busy_timeout: float = 5.0, patience: float = 10.0) -> Service:
    """As :func:`reference_impl.open_service`."""
    database = Database(path, busy_timeout=busy_timeout)
    return assemble(database, agents=RaisingAgents(database, LeakingReservations(database), patience=patience))
