"""R12: a request may take a key over even where it differs from the key's first request.

A worker is killed while it adds an agent. A different request, sent under the same key by mistake, takes the
reservation over. The retry of the first request is then refused, because the key now belongs to the other one.

Rule broken: SCOPE, a key stays bound to its request; LIVE. Needs two requests and a crash.
"""

from functools import partial

from reference_impl import service
from reference_impl.database import initialise
from reference_impl.reservations import Reservations

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r12-take-over-ignores-fingerprint"


class TakenOverByAny(Reservations):
    """Reservations that any request may take over once their lease has passed."""

    FREE = (
        "(reservations.state = 'released' AND reservations.fingerprint = excluded.fingerprint)"
        " OR (reservations.state = 'pending' AND reservations.lease_until <= :now) OR reservations.expires_at <= :now"
    )


open_service = partial(service.open_service, reservations=TakenOverByAny)
