"""R27: an owner overwrites its successor's answer after its own lease has passed.

A worker is held up for longer than its lease; another worker takes the key over, makes the agent and stores the
answer. The first one goes on, finds the slug taken (by the agent of its own key), and overwrites the answer with that
error.

Rule broken: SAME, every client of a key gets the same answer. Needs two requests, one preemption, a lease that passes.
"""

from functools import partial

from reference_impl import service
from reference_impl.backend import Connection
from reference_impl.database import initialise
from reference_impl.reservations import Reservation, Reservations

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r27-unfenced-set"


class SetByAny(Reservations):
    """Reservations that any request may finish."""

    async def set(self, connection: Connection, reservation: Reservation, result: str) -> None:
        """Finish the key, even where another owner has it by now."""
        await connection.execute(
            "UPDATE reservations SET state = 'finished', result = ?, expires_at = ?"
            " WHERE caller = ? AND endpoint = ? AND key = ?",
            (result, self._expiry(), *reservation.scope),
        )


open_service = partial(service.open_service, reservations=SetByAny)
