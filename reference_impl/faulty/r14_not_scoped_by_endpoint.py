"""R14: a key means the same key at every endpoint.

A client adds one agent and deploys another, and uses the same key at both endpoints, as it may. The second request
is refused, or gets the answer to the first.

Rule broken: SCOPE, the same text at another endpoint is another key. Needs two requests; no preemption.
"""

from functools import partial

from reference_impl import service
from reference_impl.database import initialise
from reference_impl.reservations import Reservations, Scope

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r14-not-scoped-by-endpoint"


class OneEndpoint(Reservations):
    """Reservations that ignore the endpoint."""

    def scope_of(self, caller: str, endpoint: str, key: str) -> Scope:
        """Return the scope of a key, without the endpoint."""
        del endpoint
        return Scope(caller, "", key)


open_service = partial(service.open_service, reservations=OneEndpoint)
