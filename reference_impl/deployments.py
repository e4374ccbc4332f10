"""Deployment of agents: a row in the database and a container outside it, once per idempotency key despite crashes.

The intent is recorded before the container is started. The container's key is derived from it, so a worker that takes
over uses the same key, and the platform starts one container per key. (The pattern is brandur's "recovery points" in
"Implementing Stripe-like Idempotency Keys in Postgres".)
"""

import hashlib
import json
import logging
import secrets
from typing import NamedTuple

from reference_impl.agents import Agent, Created, Refused, decoded, encoded, insert, slug_of
from reference_impl.backend import Backend, Connection
from reference_impl.containers import Containers
from reference_impl.database import fetch
from reference_impl.errors import ReservationLost, ServiceError, SlugTaken
from reference_impl.idempotency import once
from reference_impl.reservations import Reservation, Reservations

LOG = logging.getLogger(__name__)

ENDPOINT = "POST /api/agents/deploy"


class Intent(NamedTuple):
    """A deployment that has begun, as it is recorded.

    Attributes:
        caller: the authenticated caller's name.
        key: the idempotency key.
        agent_id: the agent that was made for it.
        name: the agent's name.
        image: the image that its container is to run.
    """

    caller: str
    key: str
    agent_id: str
    name: str
    image: str

    @property
    def container_key(self) -> str:
        """Return the container's key: the same for every attempt at this deployment, different for every other one."""
        return hashlib.sha256(json.dumps([self.caller, self.key, self.agent_id]).encode()).hexdigest()


class Deployments:
    """Deploys agents. Safe for several tasks and several workers.

    Args:
        database: this worker's database.
        reservations: this worker's reservations, over the same database.
        containers: the platform that runs containers.
        patience: how long a request waits for another with the same key, in seconds.
    """

    def __init__(
        self, database: Backend, reservations: Reservations, containers: Containers, *, patience: float = 10.0
    ) -> None:
        self._database, self._reservations, self._containers = database, reservations, containers
        self._patience = patience

    async def deploy(self, name: str, image: str, *, caller: str, key: str) -> Created:
        """Add an agent and start its container, once per key: every retry gets the first answer.

        Args:
            name: the agent's name.
            image: the image that its container is to run.
            caller: who asks, as authenticated.
            key: the idempotency key the caller chose for this request.

        Returns:
            The agent, and whether an earlier request made it. Both it and its container are there when this returns.

        Raises:
            InvalidName: no slug can be made from the name; the key is not used up.
            SlugTaken: another agent has the slug; a retry gets the same error.
            KeyReused: the caller used the key for another request.
            StillInProgress: another request with the key did not finish in time.
            ContainerFailed: the container could not be started; a retry with the same key tries that again.
            StoreFull, DatabaseBusy, StorageFailed: retry with the same key.
        """
        slug = slug_of(name)
        result, replayed = await once(
            lambda: self._reservations.try_reserve(
                key, caller=caller, endpoint=ENDPOINT, fingerprint=fingerprint_of(name, image)
            ),
            lambda reservation: self._work(reservation, slug, Intent(caller, key, secrets.token_hex(8), name, image)),
            key=key,
            patience=self._patience,
        )
        return decoded(result, replayed)

    async def recover(self) -> None:
        """Complete the deployments that are recorded and not finished, such as those of workers that died.

        Raises:
            ServiceError: a deployment could not be completed for now; the next call tries it again.
        """
        async with self._database.autocommit() as connection:
            left = await fetch(connection, "SELECT caller, key, agent_id, name, image FROM deployments", ())
        for intent in (Intent(*row) for row in left):
            await self.deploy(intent.name, intent.image, caller=intent.caller, key=intent.key)

    async def _work(self, reservation: Reservation, slug: str, intent: Intent) -> str:
        async with self._reservations.holding(reservation):
            begun = await self._begin(reservation, slug, intent)
            if isinstance(begun, str):
                return begun
            container = await self._containers.start(begun.container_key, begun.agent_id, begun.image)
            return await self._finish(reservation, Agent(begun.agent_id, slug, begun.name), container, begun)

    async def _begin(self, reservation: Reservation, slug: str, intent: Intent) -> Intent | str:
        """Record the intent and return it, or return the one recorded before; return the answer where the slug is taken."""

        async def work(connection: Connection) -> Intent | str:
            if not await self._reservations.hold(connection, reservation):
                raise ReservationLost(reservation.scope.key)
            known = await self._known(connection, intent)
            if known is not None:
                return known
            try:
                await insert(connection, Agent(intent.agent_id, slug, intent.name), image=intent.image)
            except SlugTaken as error:
                result = encoded(Refused(error))
                await self._reservations.set(connection, reservation, result)
                return result
            await connection.execute(
                "INSERT INTO deployments (caller, key, agent_id, name, image) VALUES (?, ?, ?, ?, ?)", intent
            )
            return intent

        return await self._database.run(work)

    async def _known(self, connection: Connection, intent: Intent) -> Intent | None:
        rows = await fetch(
            connection,
            "SELECT caller, key, agent_id, name, image FROM deployments WHERE caller = ? AND key = ?",
            (intent.caller, intent.key),
        )
        return Intent(*rows[0]) if rows else None

    async def _finish(self, reservation: Reservation, agent: Agent, container: str, intent: Intent) -> str:
        """Record the container, finish the key and delete the intent, in one transaction; return the answer."""

        async def work(connection: Connection) -> str:
            await connection.execute("UPDATE agents SET container = ? WHERE id = ?", (container, agent.id))
            await connection.execute(
                "DELETE FROM deployments WHERE caller = ? AND key = ?", (intent.caller, intent.key)
            )
            result = encoded(agent)
            await self._reservations.set(connection, reservation, result)
            return result

        return await self._database.run(work)


def fingerprint_of(name: str, image: str) -> str:
    """Return a digest of the request.

    Args:
        name: the name in the request.
        image: the image in the request.

    Returns:
        Hexadecimal text: the same for equal requests, different for different ones.
    """
    return hashlib.sha256(json.dumps({"name": name, "image": image}).encode()).hexdigest()


async def recover_quietly(deployments: Deployments) -> None:
    """Complete the deployments that are not finished; log an error instead of raising it, as the next call tries again.

    Args:
        deployments: this worker's deployments.
    """
    try:
        await deployments.recover()
    except ServiceError:
        LOG.warning("could not complete all deployments that were left", exc_info=True)
