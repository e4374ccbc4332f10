"""R34: a waiter returns the stored result after its wait, even where there is none.

Two clients add the same agent under one key, and its slug is taken. That error is not stored under the key
but raised, and the reservation is released, so that the client may try again. The owner gets the error. The
request that waited for the owner should now try to reserve the key itself. It reads the result instead, and as the
owner failed, there is none: its client gets None.

Rule broken: REAL, no empty answer. Needs two requests, the first of which fails, and one preemption.
"""

from functools import partial

from reference_impl import service
from reference_impl.agents import ENDPOINT, Agents, Created, decoded, slug_of
from reference_impl.database import initialise
from reference_impl.errors import StillInProgress
from reference_impl.reservations import Finished, Proceed, Scope, Wait

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r34-waiter-returns-none"


class GettingAgents(Agents):
    """Agents that store no error under the key, and get the result after waiting."""

    definite = ()

    async def create(self, name: str, *, caller: str, key: str) -> Created:
        """Behave as the reference, as long as no owner fails while another request waits for it."""
        slug = slug_of(name)
        match await self._reserve(name, caller, key):
            case Proceed(reservation):
                return decoded(await self._create(reservation, slug, name), False)
            case Finished(result):
                return decoded(result, True)
            case Wait() as wait:
                if not await wait.changed(self._patience):
                    raise StillInProgress(key, self._patience)
                record = await self._reservations.look(Scope(caller, ENDPOINT, key))
                if record is not None and record.result is not None:
                    return decoded(record.result, True)
                return Created(None, True)  # type: ignore[arg-type]  # the defect


open_service = partial(service.open_service, agents=GettingAgents)
