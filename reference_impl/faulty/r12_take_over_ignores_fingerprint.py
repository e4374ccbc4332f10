"""R12: a key may be taken over by another request.

A worker is killed while it adds an agent. Another request under the same key, by mistake, takes the reservation over;
the retry of the first is then refused: the key is said to be another request's.

Rule broken: SCOPE, a key stays bound to its request; LIVE. Needs two requests and a crash.
"""

from functools import partial

from reference_impl import service
from reference_impl.database import initialise
from reference_impl.reservations import Reservations

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r12-take-over-ignores-fingerprint"


class TakenOverByAny(Reservations):
    """Reservations of the dead that any request may have."""

    FREE = (
        "(reservations.state = 'released' AND reservations.fingerprint = excluded.fingerprint)"
        " OR (reservations.state = 'pending' AND reservations.lease_until <= :now) OR reservations.expires_at <= :now"
    )


open_service = partial(service.open_service, reservations=TakenOverByAny)
