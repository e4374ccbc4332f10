"""Deploying an agent: a record of ours and a container outside, once per idempotency key, whatever crashes.

The intent is recorded before the container is started, with what its key is derived from; whoever takes over goes on from
there, and the platform deduplicates by that key. (The pattern is brandur's "recovery points" in "Implementing
Stripe-like Idempotency Keys in Postgres".)
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
    """A deployment that was begun.

    Attributes:
        caller: who asked.
        key: the idempotency key.
        agent_id: the agent that was made for it.
        name: the agent's name.
        image: what its container is to run.
    """

    caller: str
    key: str
    agent_id: str
    name: str
    image: str

    @property
    def container_key(self) -> str:
        """The same for every attempt at this deployment, and no other's."""
        return hashlib.sha256(json.dumps([self.caller, self.key, self.agent_id]).encode()).hexdigest()


class Deployments:
    """Deploys agents. Safe for several tasks and several workers.

    Args:
        database: this worker's database.
        reservations: this worker's reservations, over the same database.
        containers: where containers run.
        patience: how long a request waits for another with the same key, in seconds.
    """

    def __init__(
        self, database: Backend, reservations: Reservations, containers: Containers, *, patience: float = 10.0
    ) -> None:
        self._database, self._reservations, self._containers = database, reservations, containers
        self._patience = patience

    async def deploy(self, name: str, image: str, *, caller: str, key: str) -> Created:
        """Add an agent and start its container, once per key: every retry is told the first answer.

        Args:
            name: the agent's name.
            image: what its container is to run.
            caller: who asks, as authenticated.
            key: the idempotency key the caller chose for this request.

        Returns:
            The agent, and whether an earlier request made it. Both it and its container are there when this returns.

        Raises:
            InvalidName: no slug can be made from the name; the key is not used up.
            SlugTaken: another agent has the slug; a retry is told the same.
            KeyReused: the caller used the key for another request.
            StillInProgress: another request with the key did not finish in time.
            ContainerFailed: the container could not be started; a retry with the same key goes on from there.
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
        """Complete deployments that dead owners have begun and no client has asked for again.

        Raises:
            ServiceError: one could not be completed for now; the next call goes on from there.
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
        """Record the intent, or find the one recorded before; return the answer where it can't be."""

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
        """Record the container and the answer, and that nothing is left to do."""

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
    """A digest of the request.

    Args:
        name: the name asked for.
        image: the image asked for.

    Returns:
        Hexadecimal text, equal exactly where the requests are.
    """
    return hashlib.sha256(json.dumps({"name": name, "image": image}).encode()).hexdigest()


async def recover_quietly(deployments: Deployments) -> None:
    """Complete deployments that were left, and leave those that can't be completed now for the next time.

    Args:
        deployments: the deployments to recover.
    """
    try:
        await deployments.recover()
    except ServiceError:
        LOG.warning("could not complete all deployments that were left", exc_info=True)
