"""P10: leases are computed from the clock of the worker that asks.

On one machine there is one clock. On two machines, one clock is ahead: to the worker there, the leases of the others pass
too early, and it takes over from an owner that is alive and still within its lease.

Rule broken: OWNER, never two live owners of a key. Needs two workers whose clocks differ by a lease; one preemption.
"""

import time
from functools import partial

from reference_impl import service
from reference_impl.backend import Connection
from reference_impl.database import fetch
from reference_impl.reservations import Reservations, Scope
from reference_impl.schema import initialise

__all__ = ["NAME", "initialise", "open_service"]

NAME = "p10-client-clock"


class OwnClock(Reservations):
    """Reservations that use this machine's clock."""

    def _deadline(self) -> float:
        return time.time() + self.lease

    async def _claim(self, scope: Scope, fingerprint: str) -> int | None:
        generation = await super()._claim(scope, fingerprint)
        if generation is not None:
            return generation
        return await self._database.run(lambda connection: self._take_over(connection, scope, fingerprint))

    async def _take_over(self, connection: Connection, scope: Scope, fingerprint: str) -> int | None:
        """Take over a key if its lease has passed by this machine's clock; return the generation, or None."""
        rows = await fetch(
            connection,
            "UPDATE reservations SET generation = generation + 1, lease_until = ? WHERE caller = ? AND endpoint = ?"
            " AND key = ? AND fingerprint = ? AND state = 'pending' AND lease_until <= ? RETURNING generation",
            (self._deadline(), *scope, fingerprint, time.time()),
        )
        return rows[0][0] if rows else None


open_service = partial(service.open_service, reservations=OwnClock)
