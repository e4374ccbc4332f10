"""One worker's service: its database, and the tokens, agents, reservations and deployments over it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from reference_impl import reservations as defaults
from reference_impl.agents import Agents
from reference_impl.backend import Address, Backend, open_backend
from reference_impl.containers import Containers
from reference_impl.deployments import Deployments
from reference_impl.reservations import Reservations
from reference_impl.tokens import TokenStore

__all__ = ["OpenService", "Service", "open_service"]


@dataclass(frozen=True, slots=True)
class Service:
    """Holds the parts of the service that the tasks of one worker share.

    Attributes:
        database: the worker's connections.
        tokens: offers issue, rotate, revoke, verify, get_active.
        agents: offers add, create, delete, list.
        reservations: the idempotency keys.
        deployments: offers deploy, recover; None where the service was opened without containers.
    """

    database: Backend
    tokens: TokenStore
    agents: Agents
    reservations: Reservations
    deployments: Deployments | None = None

    async def close(self) -> None:
        """Finish the work that cancelled calls left, and close every connection. No call may be in progress."""
        await self.database.close()


class OpenService(Protocol):
    """Makes one worker's service."""

    async def __call__(
        self,
        path: Address,
        *,
        busy_timeout: float = 5.0,
        patience: float = 10.0,
        lease: float = defaults.LEASE,
        retention: float = defaults.RETENTION,
        capacity: int = defaults.CAPACITY,
        containers: Containers | None = None,
    ) -> Service:
        """Make one worker's service; see :func:`open_service`."""


async def open_service(
    path: Address,
    *,
    busy_timeout: float = 5.0,
    patience: float = 10.0,
    lease: float = defaults.LEASE,
    retention: float = defaults.RETENTION,
    capacity: int = defaults.CAPACITY,
    containers: Containers | None = None,
    database: Callable[..., Backend] = open_backend,
    reservations: Callable[..., Reservations] = Reservations,
    tokens: Callable[..., TokenStore] = TokenStore,
    agents: Callable[..., Agents] = Agents,
    deployments: Callable[..., Deployments] = Deployments,
) -> Service:
    """Make one worker's service. Connections are opened when first needed.

    Args:
        path: a URL ``postgresql://...``, or the path of an SQLite file; either is already initialised.
        busy_timeout: how long a statement waits for another's lock, in seconds.
        patience: how long a request waits for another with the same key, in seconds.
        lease: how long an owner keeps a key without extending the lease, in seconds.
        retention: how long an answer is remembered, in seconds.
        capacity: how many keys are remembered at most.
        containers: the platform that agents are deployed to; without it, none can be deployed.
        database: makes the database; like the arguments that follow, for another implementation than the standard one.
        reservations: makes the reservations.
        tokens: makes the token store.
        agents: makes the agents.
        deployments: makes the deployments.

    Returns:
        The service; ``await service.close()`` when done.
    """
    connections = database(path, busy_timeout=busy_timeout)
    keys = reservations(connections, lease=lease, retention=retention, capacity=capacity)
    return Service(
        connections,
        tokens(connections, containers),
        agents(connections, keys, patience=patience),
        keys,
        deployments(connections, keys, containers, patience=patience) if containers is not None else None,
    )
