"""R08: an owner commits without asking whether the key is still its own.

A worker is held up for longer than its lease; another takes the key over and makes the agent. Then the first one
goes on and makes it as well, under the next free slug.

Rule broken: ONCE, at most one agent per caller and key. Needs two requests, one preemption, a lease that passes.
"""

from functools import partial

from reference_impl import service
from reference_impl.backend import Connection
from reference_impl.database import initialise
from reference_impl.faulty.suffix import SuffixedAgents
from reference_impl.reservations import Reservation, Reservations

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r08-no-fence"


class Unfenced(Reservations):
    """Reservations that anybody may finish."""

    async def set(self, connection: Connection, reservation: Reservation, result: str) -> None:
        """Finish the key, even if it has another owner by now."""
        await connection.execute(
            "UPDATE reservations SET state = 'finished', result = ?, expires_at = ?"
            " WHERE caller = ? AND endpoint = ? AND key = ?",
            (result, self._expiry(), *reservation.scope),
        )


open_service = partial(service.open_service, reservations=Unfenced, agents=SuffixedAgents)
