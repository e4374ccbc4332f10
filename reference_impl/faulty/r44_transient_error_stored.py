"""R44: a transient error is stored as if it were an answer.

The disk fails for a moment while an agent is added. The error is stored under the key, and every retry gets it again,
even after the disk has recovered.

Rule broken: LIVE, a retry is answered. Needs one request and an error.
"""

import sqlite3
from functools import partial

from reference_impl import service
from reference_impl.agents import Agent, Agents, Refused
from reference_impl.backend import Connection
from reference_impl.database import initialise
from reference_impl.errors import StorageFailed

__all__ = ["NAME", "initialise", "open_service"]

NAME = "r44-transient-error-stored"


class StoresEverything(Agents):
    """Agents that store errors of the database as answers."""

    async def _effect(self, connection: Connection, slug: str, name: str) -> Agent | Refused:
        try:
            return await super()._effect(connection, slug, name)
        except sqlite3.OperationalError as error:
            return Refused(StorageFailed(str(error)))


open_service = partial(service.open_service, agents=StoresEverything)
