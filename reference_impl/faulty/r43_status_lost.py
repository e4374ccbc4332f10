"""R43: the body is stored without its status, so that an error replays as a success.

The name is taken, and the first client is told so. Only the body is stored under the key, so a retry gets the error's
body as a success.

Rule broken: SAME, every client of a key gets the same answer. Needs one request and its retry.
"""

from functools import partial

from reference_impl import service
from reference_impl.agents import Agent, Agents, Created
from reference_impl.database import initialise
from reference_impl.errors import SlugTaken

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r43-status-lost"


class BodyOnly(Agents):
    """Agents with replayed answers that have lost their status."""

    async def create(self, name: str, *, caller: str, key: str) -> Created:
        """Behave as the reference, as long as the answer is a success."""
        try:
            return await super().create(name, caller=caller, key=key)
        except SlugTaken as error:
            if not error.replayed:
                raise
            return Created(Agent("", error.slug, str(error)), True)


open_service = partial(service.open_service, agents=BodyOnly)
