"""One worker's service: its database and what stands on it."""

import os
from dataclasses import dataclass

from reference_impl.agents import Agents
from reference_impl.database import Database
from reference_impl.reservations import Reservations
from reference_impl.tokens import TokenStore


@dataclass(frozen=True, slots=True)
class Service:
    """What one worker shares among its tasks.

    Attributes:
        database: the worker's connections.
        tokens: issue, rotate, revoke, verify, get_active.
        agents: add, list.
    """

    database: Database
    tokens: TokenStore
    agents: Agents

    async def close(self) -> None:
        """Finish what cancelled calls left behind and close every connection. No call may be in progress."""
        await self.database.close()


def assemble(
    database: Database,
    *,
    tokens: TokenStore | None = None,
    reservations: Reservations | None = None,
    agents: Agents | None = None,
    patience: float = 10.0,
) -> Service:
    """Put a service together, from the standard parts unless told otherwise.

    Args:
        database: the worker's database.
        tokens: another token store.
        reservations: other reservations, used by the standard agents.
        agents: other agents; they bring their own reservations and patience.
        patience: how long a request waits for another with the same key, in seconds.

    Returns:
        The service.
    """
    return Service(
        database,
        tokens or TokenStore(database),
        agents or Agents(database, reservations or Reservations(database), patience=patience),
    )


async def open_service(path: str | os.PathLike[str], *, busy_timeout: float = 5.0, patience: float = 10.0) -> Service:
    """Make one worker's service. Connections are opened when first needed.

    Args:
        path: the database file, already initialised.
        busy_timeout: how long a statement waits for another's lock, in seconds.
        patience: how long a request waits for another with the same key, in seconds.

    Returns:
        The service; ``await service.close()`` when done.
    """
    return assemble(Database(path, busy_timeout=busy_timeout), patience=patience)
