"""T17: the container keeps the token that was delivered last, which need not be the one issued last.

Two rotations commit one after the other, and deliver their tokens in the opposite order. The container is left with a
token that was revoked.

Rule broken: TOKLAST, the token in use is the last one issued. Needs two requests and two preemptions.
"""

from functools import partial

from reference_impl import service
from reference_impl.backend import Backend
from reference_impl.containers import Containers, RecordedContainers
from reference_impl.database import initialise
from reference_impl.tokens import TokenStore

__all__ = ["NAME", "initialise", "open_service"]

NAME = "t17-delivery-order"


class LastOneCounts(RecordedContainers):
    """Containers that accept every token, even one that is older than theirs."""

    NEWER = ""


class InAnyOrder(TokenStore):
    """A token store that delivers tokens to containers that ignore their serials."""

    def __init__(self, database: Backend, containers: Containers | None = None) -> None:
        if isinstance(containers, RecordedContainers):
            containers = LastOneCounts(containers.address)
        super().__init__(database, containers)


open_service = partial(service.open_service, tokens=InAnyOrder)
