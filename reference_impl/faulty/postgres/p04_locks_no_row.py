"""P04: the key's row is locked by SELECT ... FOR UPDATE, and is inserted where there is none.

Clients retry the creation of an agent under one key. FOR UPDATE locks the rows that it finds. For a new key it finds none,
and locks nothing. Two requests both find the key free, and the later one overwrites the first one's reservation.

Rule broken: OWNER, never two owners of a key, and with it SAME, every client of a key gets the same answer. Needs two
requests and one preemption.
"""

from functools import partial

from reference_impl import service
from reference_impl.backend import Connection
from reference_impl.database import fetch
from reference_impl.reservations import Reservations, Scope
from reference_impl.schema import initialise

__all__ = ["NAME", "initialise", "open_service"]

NAME = "p04-locks-no-row"

KEY = "WHERE caller = ? AND endpoint = ? AND key = ?"


class LocksThenPuts(Reservations):
    """Reservations that are claimed under a lock of their row, if there is one."""

    async def _claim(self, scope: Scope, fingerprint: str) -> int | None:
        return await self._database.run(lambda connection: self._put(connection, scope, fingerprint))

    async def _put(self, connection: Connection, scope: Scope, fingerprint: str) -> int | None:
        await self._database.lock(connection, f"SELECT 1 FROM reservations {KEY}", scope)
        rows = await fetch(connection, f"SELECT state, fingerprint, generation FROM reservations {KEY}", scope)
        if rows and (rows[0][0] != "released" or rows[0][1] != fingerprint):
            return None
        generation = rows[0][2] + 1 if rows else 1
        await connection.execute(
            "INSERT INTO reservations (caller, endpoint, key, fingerprint, state, generation, lease_until)"
            " VALUES (?, ?, ?, ?, 'pending', ?, ?) ON CONFLICT (caller, endpoint, key) DO UPDATE SET state = 'pending',"
            " generation = excluded.generation, lease_until = excluded.lease_until, expires_at = NULL, result = NULL",
            (*scope, fingerprint, generation, self._deadline()),
        )
        return generation


open_service = partial(service.open_service, reservations=LocksThenPuts)
