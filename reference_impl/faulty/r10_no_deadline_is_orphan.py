"""R10: a record without a deadline is mistaken for that of an owner that died.

The key is claimed in one statement and gets its deadline in the next. A request that looks in between finds a
reservation without a deadline, and displaces an owner that has just begun.

Rule broken: OWNER, never two live owners of a key. Needs two requests and one preemption.
"""

from functools import partial

from reference_impl import service
from reference_impl.database import initialise
from reference_impl.reservations import Reservation, Reservations, Scope

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r10-no-deadline-is-orphan"


class DeadlineLater(Reservations):
    """Reservations that get their deadline by a second statement."""

    async def _claim(self, scope: Scope, fingerprint: str) -> int | None:
        generation = await super()._claim(scope, fingerprint)
        if generation is not None:
            await self.extend(Reservation(scope, generation))
        return generation

    def _deadline(self) -> float:
        return 0.0


open_service = partial(service.open_service, reservations=DeadlineLater)
