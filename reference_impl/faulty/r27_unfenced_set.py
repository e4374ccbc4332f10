"""R27: an owner after its lease overwrites its successor's answer.

A worker is held up for longer than its lease; another takes the key over, makes the agent and stores the answer. The
first one goes on, finds the slug taken (by the agent of its own key), and stores that over it.

Rule broken: SAME, every client of a key is told the same. Needs two requests, one preemption, a lease that passes.
"""

from functools import partial

from reference_impl import service
from reference_impl.backend import Connection
from reference_impl.database import initialise
from reference_impl.reservations import Reservation, Reservations

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r27-unfenced-set"


class SetByAny(Reservations):
    """Reservations that anybody may finish."""

    async def set(self, connection: Connection, reservation: Reservation, result: str) -> None:
        """Finish the key, even if it has another owner by now."""
        await connection.execute(
            "UPDATE reservations SET state = 'finished', result = ?, expires_at = ?"
            " WHERE caller = ? AND endpoint = ? AND key = ?",
            (result, self._expiry(), *reservation.scope),
        )


open_service = partial(service.open_service, reservations=SetByAny)
