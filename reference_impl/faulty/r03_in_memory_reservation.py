"""R03: the reservations are kept in the memory of one process.

Clients retry the creation of an agent under one key, and the retry may reach another worker. Within a worker
the protocol is right. But a second worker does not know the first one's reservation, and not even its
answer. It owns the key as well, does the work, and is told that the slug is taken: by the very agent that was
made under its key.

Rule broken: OWNER, never two owners of a key, and with it SAME, every client of a key gets the same answer. Needs
two workers; no preemption.
"""

import math
from functools import partial
from typing import Any

from reference_impl import service
from reference_impl.backend import Backend, Connection
from reference_impl.database import initialise
from reference_impl.reservations import Record, Reservation, Reservations, Scope

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r03-in-memory-reservation"


class InMemoryReservations(Reservations):
    """Reservations that are kept in a dictionary."""

    def __init__(self, database: Backend, **options: Any) -> None:
        super().__init__(database, **options)
        self._records: dict[Scope, Record] = {}

    async def look(self, scope: Scope) -> Record | None:
        """Return this process's record of a key, or None."""
        return self._records.get(scope)

    async def set(self, connection: Connection, reservation: Reservation, result: str) -> None:
        """Finish the key, in memory."""
        record = self._records[reservation.scope]
        self._records[reservation.scope] = record._replace(state="finished", result=result)

    async def release(self, reservation: Reservation) -> None:
        """Delete the key's record and wake its waiters."""
        del self._records[reservation.scope]
        self._wake(reservation.scope)

    async def _claim(self, scope: Scope, fingerprint: str) -> int | None:
        if scope in self._records:
            return None
        self._records[scope] = Record(fingerprint, "pending", 1, None, math.inf)
        return 1


open_service = partial(service.open_service, reservations=InMemoryReservations)
