"""R42: a waiter polls inside a write transaction.

The waiter begins a transaction so that nothing changes between its look and its claim, and waits inside it. The owner
can't commit while the waiter holds the write lock, so both time out.

Rule broken: LIVE, every request is answered. Needs two requests and one preemption.
"""

import asyncio
from functools import partial

from reference_impl import service
from reference_impl.agents import Agents, Created, decoded, slug_of
from reference_impl.database import initialise
from reference_impl.errors import StillInProgress
from reference_impl.reservations import Finished, Proceed, Wait

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r42-polls-in-transaction"


class WaitsInTransaction(Agents):
    """Agents with requests that hold the write lock while they wait for an owner."""

    async def create(self, name: str, *, caller: str, key: str) -> Created:
        """Behave as the reference, as long as no request has to wait."""
        slug = slug_of(name)
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._patience
        while True:
            match await self._reserve(name, caller, key):
                case Proceed(reservation):
                    return decoded(await self._create(reservation, slug, name), False)
                case Finished(result):
                    return decoded(result, True)
                case Wait() as wait:
                    async with self._database.transaction():
                        changed = await wait.changed(deadline - clock())
                    if not changed:
                        raise StillInProgress(key, self._patience)


open_service = partial(service.open_service, agents=WaitsInTransaction)
