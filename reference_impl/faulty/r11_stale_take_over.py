"""R11: a request decides to take over by an earlier read, and then overwrites the record without checking it again.

An owner died and its lease has passed. Two waiters both read that. The first takes over and finishes; the second then
overwrites the finished record and does the work again.

Rule broken: ONCE, at most one agent per caller and key. Needs three requests, one preemption and a crash.
"""

import time
from functools import partial

from reference_impl import service
from reference_impl.database import initialise
from reference_impl.faulty.suffix import SuffixedAgents
from reference_impl.reservations import Reservations, Scope

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r11-stale-take-over"


class ReadsThenTakesOver(Reservations):
    """Reservations that are taken over by an unconditional write."""

    async def _claim(self, scope: Scope, fingerprint: str) -> int | None:
        record = await self.look(scope)
        if record is None or record.state != "pending":
            return await super()._claim(scope, fingerprint)
        if record.lease_until > time.time() or record.fingerprint != fingerprint:
            return None
        async with self._database.autocommit() as connection:
            await connection.execute(
                "UPDATE reservations SET state = 'pending', generation = ?, lease_until = ?, result = NULL"
                " WHERE caller = ? AND endpoint = ? AND key = ?",
                (record.generation + 1, self._deadline(), *scope),
            )
        return record.generation + 1


open_service = partial(service.open_service, reservations=ReadsThenTakesOver, agents=SuffixedAgents)
