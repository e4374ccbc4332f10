"""P11: the key is finished by an UPDATE that names the key and not the generation.

A worker is held up for longer than its lease; another worker takes the key over. The first one goes on. Its UPDATE finds the
row, or waits until its successor has committed and then finds the row finished, and overwrites it with its own answer.

Rule broken: SAME, every client of a key gets the same answer. Needs two requests, one preemption, a lease that passes.
"""

from functools import partial

from reference_impl import service
from reference_impl.backend import Connection
from reference_impl.faulty.suffix import SuffixedAgents
from reference_impl.reservations import Reservation, Reservations
from reference_impl.schema import initialise

__all__ = ["NAME", "initialise", "open_service"]

NAME = "p11-unfenced-completion"


class FinishedByAny(Reservations):
    """Reservations that every former owner may finish."""

    async def set(self, connection: Connection, reservation: Reservation, result: str) -> None:
        """Finish the key, even where another owner has it by now."""
        await connection.execute(
            "UPDATE reservations SET state = 'finished', result = ?, expires_at = ?"
            " WHERE caller = ? AND endpoint = ? AND key = ?",
            (result, self._expiry(), *reservation.scope),
        )


open_service = partial(service.open_service, reservations=FinishedByAny, agents=SuffixedAgents)
