"""R02: a request reserves the key by a SELECT and then, where the key was free, by an unconditional write.

Clients retry the creation of an agent under one key, and each request first reserves the key. If two requests both
find it free before either has written its reservation, both own it. The later write replaces the first one's record,
even a finished one. Both do the work, and the second is told that the slug is taken: by the very agent that was
made under its key.

Rule broken: OWNER, never two owners of a key, and with it SAME, every client of a key gets the same answer. Needs
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
    """Reservations that are claimed by two statements."""

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
