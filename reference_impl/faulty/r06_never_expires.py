"""R06: the reservation of an owner that died stays for ever.

A worker is killed while it adds an agent. Only the owner may end its reservation, so every retry is told
that the request is still in progress.

Rule broken: LIVE, after a crash a retry is answered within the lease. Needs one request and a crash.
"""

from functools import partial

from reference_impl import service
from reference_impl.database import initialise
from reference_impl.reservations import Reservations

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r06-never-expires"


class Everlasting(Reservations):
    """Reservations that only their owner can end."""

    FREE = (
        "(reservations.fingerprint = excluded.fingerprint AND reservations.state = 'released')"
        " OR reservations.expires_at <= :now"
    )


open_service = partial(service.open_service, reservations=Everlasting)
