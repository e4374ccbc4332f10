"""Agents: created at most once per idempotency key, each under a slug of its own."""

import hashlib
import json
import re
import secrets
from dataclasses import asdict, dataclass
from typing import ClassVar, NamedTuple

from reference_impl import errors
from reference_impl.backend import Backend, Connection
from reference_impl.database import fetch
from reference_impl.errors import InvalidName, ServiceError, SlugTaken, UnknownAgent
from reference_impl.idempotency import once
from reference_impl.moments import FromNow
from reference_impl.reservations import Finished, Proceed, Reservation, Reservations, Wait

ENDPOINT = "POST /api/agents"


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent as clients see it.

    Attributes:
        id: random, never changes.
        slug: unique, made from the name.
        name: as the client gave it.
    """

    id: str
    slug: str
    name: str


class Agents:
    """Adds and lists agents. Safe for several tasks and several workers.

    Args:
        database: this worker's database.
        reservations: this worker's reservations, over the same database.
        patience: how long a request waits for another with the same key, in seconds.
    """

    # Answers that will be the same for every retry: stored under the key like a success. Any other error
    # releases it.
    definite: ClassVar[tuple[type[ServiceError], ...]] = (SlugTaken,)

    def __init__(self, database: Backend, reservations: Reservations, *, patience: float = 10.0) -> None:
        self._database = database
        self._reservations = reservations
        self._patience = patience

    async def add(self, name: str, *, caller: str, key: str) -> Agent:
        """Add an agent as :meth:`create` does, and return the agent alone.

        Args:
            name: as there.
            caller: as there.
            key: as there.

        Returns:
            The agent.
        """
        return (await self.create(name, caller=caller, key=key)).agent

    async def create(self, name: str, *, caller: str, key: str) -> "Created":
        """Add an agent, once per key: every retry gets the first answer.

        Args:
            name: the agent's name; the slug is made from its ASCII letters and digits.
            caller: the authenticated caller's name.
            key: the idempotency key the caller chose for this request.

        Returns:
            The agent, durable when this returns, and whether an earlier request made it.

        Raises:
            InvalidName: no slug can be made from the name; the key is not used up.
            SlugTaken: another agent has the slug; a retry gets the same error.
            KeyReused: the caller used the key for another name.
            StillInProgress: another request with the key did not finish in time.
            StoreFull, DatabaseBusy, StorageFailed: retry with the same key.
        """
        slug = slug_of(name)
        result, replayed = await once(
            lambda: self._reserve(name, caller, key),
            lambda reservation: self._create(reservation, slug, name),
            key=key,
            patience=self._patience,
        )
        return decoded(result, replayed)

    async def delete(self, slug: str) -> None:
        """Delete an agent, and revoke its token.

        Args:
            slug: the agent's slug.

        Raises:
            UnknownAgent: no agent has the slug.
            DatabaseBusy: the database stayed locked; nothing was deleted.
        """
        await self._database.run(lambda connection: self._delete(connection, slug))

    async def list(self) -> tuple[Agent, ...]:
        """Return all agents, the oldest first.

        Raises:
            DatabaseBusy: the database stayed locked.
        """
        async with self._database.autocommit() as connection:
            rows = await fetch(connection, "SELECT id, slug, name FROM agents ORDER BY rowid", ())
        return tuple(Agent(*row) for row in rows)

    async def _delete(self, connection: Connection, slug: str) -> None:
        # First, because a transaction that issues a token to the agent has locked its row: after that one, the token is there
        # to be revoked.
        gone = await fetch(connection, "DELETE FROM agents WHERE slug = ? RETURNING id", (slug,))
        if not gone:
            raise UnknownAgent(slug)
        await connection.execute(
            "UPDATE tokens SET revoked_at = ? WHERE revoked_at IS NULL AND agent_id = ?", (FromNow(), *gone[0])
        )

    async def _reserve(self, name: str, caller: str, key: str) -> Proceed | Wait | Finished:
        return await self._reservations.try_reserve(
            key, caller=caller, endpoint=ENDPOINT, fingerprint=fingerprint_of(name)
        )

    async def _create(self, reservation: Reservation, slug: str, name: str) -> str:
        """Make the agent and finish the key in one transaction; return the answer, as it is stored under the key."""

        async def work(connection: Connection) -> str:
            result = encoded(await self._effect(connection, slug, name))
            await self._reservations.set(connection, reservation, result)
            return result

        async with self._reservations.holding(reservation):
            return await self._database.run(work)

    async def _effect(self, connection: Connection, slug: str, name: str) -> "Agent | Refused":
        """Make the agent; return a definite error as an answer."""
        try:
            return await insert(connection, Agent(secrets.token_hex(8), slug, name))
        except self.definite as error:
            return Refused(error)


def slug_of(name: str) -> str:
    """Return the slug for a name.

    Args:
        name: any text.

    Returns:
        The name in lower case. Each run of characters other than ASCII letters and digits is replaced by one hyphen;
        hyphens at either end are removed.

    Raises:
        InvalidName: the name has no ASCII letter or digit.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not slug:
        raise InvalidName(name)
    return slug


def fingerprint_of(name: str) -> str:
    """Return a digest of the request.

    Args:
        name: the agent's name; the request consists of nothing else.

    Returns:
        Hexadecimal text: the same for equal requests, different for different ones.
    """
    return hashlib.sha256(json.dumps({"name": name}).encode()).hexdigest()


async def insert(connection: Connection, agent: Agent, *, image: str | None = None) -> Agent:
    """Insert an agent; the UNIQUE constraint on the slug's column decides whether the slug is free.

    A conflict raises no error in the database: in PostgreSQL the transaction could not go on after one.

    Args:
        connection: a connection in a transaction.
        agent: the agent.
        image: the image that its container is to run, if it gets a container.

    Returns:
        The agent; it is durable once the transaction is committed.

    Raises:
        SlugTaken: the slug is not free; nothing was inserted, and the transaction can go on.
    """
    cursor = await connection.execute(
        "INSERT INTO agents (id, slug, name, image) VALUES (?, ?, ?, ?) ON CONFLICT (slug) DO NOTHING",
        (agent.id, agent.slug, agent.name, image),
    )
    if cursor.rowcount != 1:
        raise SlugTaken(agent.slug)
    return agent


class Refused(NamedTuple):
    """An error that is an answer: every retry gets the same error.

    Attributes:
        error: the error.
    """

    error: ServiceError


class Created(NamedTuple):
    """The agent that a keyed request made.

    Attributes:
        agent: the agent.
        replayed: whether an earlier request with the key made it.
    """

    agent: Agent
    replayed: bool


def encoded(answer: Agent | Refused) -> str:
    """Return an answer in the form in which it is stored under the key.

    Args:
        answer: the agent that was made, or the error that is the answer.

    Returns:
        JSON text; its only key is ``agent`` for a success and the class's name for an error.
    """
    if isinstance(answer, Agent):
        return json.dumps({"agent": asdict(answer)})
    return json.dumps({type(answer.error).__name__: answer.error.args})


def decoded(result: str, replayed: bool) -> Created:
    """Turn a stored answer back into a result or an error.

    Args:
        result: the text that :func:`encoded` made.
        replayed: whether an earlier request got this answer.

    Returns:
        The agent, where the answer was a success.

    Raises:
        ServiceError: the error, where the answer was one; its attribute ``replayed`` is the argument of that name.
    """
    ((kind, value),) = json.loads(result).items()
    if kind == "agent":
        return Created(Agent(**value), replayed)
    error: ServiceError = getattr(errors, kind)(*value)
    error.replayed = replayed
    raise error
