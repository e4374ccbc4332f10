"""R42: a waiter polls inside a write transaction.

It begins a transaction so that nothing changes between its look and its claim, and waits in it. The owner can't commit
while the waiter holds the write lock: both lose patience.

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
    """Agents that are waited for with the write lock in hand."""

    async def create(self, name: str, *, caller: str, key: str) -> Created:
        """As in the reference, where nobody has to wait."""
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
