"""P10: leases are reckoned from the clock of whichever worker asks.

On one machine that is one clock. On two, one of them is ahead: to the worker that has it every other's lease has passed
early, and it takes over from an owner that is alive and well within its time.

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
    """Reservations that go by the clock on this machine's wall."""

    def _deadline(self) -> float:
        return time.time() + self.lease

    async def _claim(self, scope: Scope, fingerprint: str) -> int | None:
        generation = await super()._claim(scope, fingerprint)
        if generation is not None:
            return generation
        return await self._database.run(lambda connection: self._take_over(connection, scope, fingerprint))

    async def _take_over(self, connection: Connection, scope: Scope, fingerprint: str) -> int | None:
        """Take over a key with an owner that has not been heard of, as far as this machine knows."""
        rows = await fetch(
            connection,
            "UPDATE reservations SET generation = generation + 1, lease_until = ? WHERE caller = ? AND endpoint = ?"
            " AND key = ? AND fingerprint = ? AND state = 'pending' AND lease_until <= ? RETURNING generation",
            (self._deadline(), *scope, fingerprint, time.time()),
        )
        return rows[0][0] if rows else None


open_service = partial(service.open_service, reservations=OwnClock)
