"""R43: the body is stored without its status, so that an error replays as a success.

The name is taken, and the first client is told so. What is stored under the key is the body alone; a retry is told, as a
success, something that was an error.

Rule broken: SAME, every client of a key is told the same. Needs one request and its retry.
"""

from functools import partial

from reference_impl import service
from reference_impl.agents import Agent, Agents, Created
from reference_impl.database import initialise
from reference_impl.errors import SlugTaken

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r43-status-lost"


class BodyOnly(Agents):
    """Agents with answers that are stored without their status."""

    async def create(self, name: str, *, caller: str, key: str) -> Created:
        """As in the reference, where the answer is a success."""
        try:
            return await super().create(name, caller=caller, key=key)
        except SlugTaken as error:
            if not error.replayed:
                raise
            return Created(Agent("", error.slug, str(error)), True)


open_service = partial(service.open_service, agents=BodyOnly)
