"""R02: the key is reserved by a SELECT and then, where it was free, by an unconditional put.

Clients retry the creation of an agent under one key, each first reserving the key. If two requests both find
it free before either has put its reservation, both own it. The later put replaces the record of the first,
even a finished one; both do the work, and the second is told that the slug is taken: by the very agent its
key has made.

Rule broken: OWNER, never two owners of a key, and with it SAME, every client of a key is told the same. Needs
two requests and one preemption.
"""

import time
from functools import partial

from reference_impl import service
from reference_impl.database import initialise
from reference_impl.reservations import Reservations, Scope

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r02-select-then-put"


class SelectThenPut(Reservations):
    """Reservations with a claim of two statements."""

    async def _claim(self, scope: Scope, fingerprint: str) -> int | None:
        record = await self.look(scope)
        if record is not None and (record.state != "released" or record.fingerprint != fingerprint):
            return None
        generation = 1 if record is None else record.generation + 1
        async with self._database.autocommit() as connection:
            await connection.execute(
                "INSERT INTO reservations (caller, endpoint, key, fingerprint, state, generation, lease_until)"
                " VALUES (?, ?, ?, ?, 'pending', ?, ?) ON CONFLICT (caller, endpoint, key) DO UPDATE SET"
                " fingerprint = excluded.fingerprint, state = 'pending', generation = excluded.generation,"
                " lease_until = excluded.lease_until, expires_at = NULL, result = NULL",
                (*scope, fingerprint, generation, time.time() + self.lease),
            )
        return generation


open_service = partial(service.open_service, reservations=SelectThenPut)
