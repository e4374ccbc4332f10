"""R07: an owner's lease is as long as the retention of an answer.

A record has one expiry time, and it is the one for answers: a day. A worker that is killed while it adds an agent
blocks the key for that long.

Rule broken: LIVE, after a crash a retry is answered within the lease. Needs one request and a crash.
"""

from functools import partial
from typing import Any

from reference_impl import service
from reference_impl.backend import Backend
from reference_impl.database import initialise
from reference_impl.reservations import Reservations

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r07-retention-as-lease"


class OneExpiry(Reservations):
    """Reservations with a lease that is as long as their retention."""

    def __init__(self, database: Backend, **options: Any) -> None:
        super().__init__(database, **options)
        self.lease = self.retention


open_service = partial(service.open_service, reservations=OneExpiry)
