"""R19: a request that is refused early leaves its reservation behind.

The handler checks whether the slug is taken before it begins the work, and refuses the request at once. The
reservation, which was made before that, is neither finished nor released: every retry waits for an owner that has gone.

Rule broken: LIVE and PROMPT, once the owner has answered, a retry need not wait. Needs one request and its retry.
"""

from functools import partial

from reference_impl import service
from reference_impl.agents import Agents
from reference_impl.database import fetch, initialise
from reference_impl.errors import SlugTaken
from reference_impl.reservations import Reservation

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r19-early-return-leaves-reservation"


class LooksFirst(Agents):
    """Agents that are refused before the work begins."""

    async def _create(self, reservation: Reservation, slug: str, name: str) -> str:
        async with self._database.autocommit() as connection:
            taken = await fetch(connection, "SELECT 1 FROM agents WHERE slug = ?", (slug,))
        if taken:
            raise SlugTaken(slug)
        return await super()._create(reservation, slug, name)


open_service = partial(service.open_service, agents=LooksFirst)
