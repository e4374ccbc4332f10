"""R34: a waiter takes the result when its wait is over, whether there is one or not.

Two clients add the same agent under one key, and its slug is taken. That error is not stored under the key
but raised, and the reservation released, so that the client may try again. The owner is told the error. Who
waited for it should try to reserve in its turn; it gets the result instead, and where the owner failed there
is none: it is told None.

Rule broken: REAL, no empty answer. Needs two requests, the first of which fails, and one preemption.
"""

import os

from reference_impl.agents import ENDPOINT, Agent, Agents, decoded, slug_of
from reference_impl.database import Database, initialise
from reference_impl.errors import StillInProgress
from reference_impl.reservations import Finished, Proceed, Reservations, Scope, Wait
from reference_impl.service import Service, assemble

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r34-waiter-returns-none"


class GettingAgents(Agents):
    """Agents that store no error under the key, and get the result after waiting."""

    definite = ()

    async def add(self, name: str, *, caller: str, key: str) -> Agent:
        """As in the reference, where no owner fails while another request waits for it."""
        slug = slug_of(name)
        match await self._reserve(name, caller, key):
            case Proceed(reservation):
                return decoded(await self._create(reservation, slug, name))
            case Finished(result):
                return decoded(result)
            case Wait() as wait:
                if not await wait.changed(self._patience):
                    raise StillInProgress(key, self._patience)
                record = await self._reservations.look(Scope(caller, ENDPOINT, key))
                if record is not None and record.result is not None:
                    return decoded(record.result)
                return None  # type: ignore[return-value]  # the defect


async def open_service(path: str | os.PathLike[str], *, busy_timeout: float = 5.0, patience: float = 10.0) -> Service:
    """As :func:`reference_impl.open_service`."""
    database = Database(path, busy_timeout=busy_timeout)
    return assemble(database, agents=GettingAgents(database, Reservations(database), patience=patience))
