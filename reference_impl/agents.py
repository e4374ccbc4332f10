"""Agents: created at most once per idempotency key, each under a slug of its own."""

import asyncio
import hashlib
import json
import re
import secrets
import sqlite3
from dataclasses import asdict, dataclass
from typing import ClassVar

import aiosqlite

from reference_impl.database import Database, fetch
from reference_impl.errors import InvalidName, ServiceError, SlugTaken, StillInProgress
from reference_impl.reservations import Finished, Proceed, Reservation, Reservations, Wait

ENDPOINT = "POST /agents"


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

    def __init__(self, database: Database, reservations: Reservations, *, patience: float = 10.0) -> None:
        self._database = database
        self._reservations = reservations
        self._patience = patience

    async def add(self, name: str, *, caller: str, key: str) -> Agent:
        """Add an agent, once per key: every retry is told the first answer.

        Args:
            name: the agent's name; the slug is made from its ASCII letters and digits.
            caller: who asks, as authenticated.
            key: the idempotency key the caller chose for this request.

        Returns:
            The agent, durable when this returns.

        Raises:
            InvalidName: no slug can be made from the name; the key is not used up.
            SlugTaken: another agent has the slug; a retry is told the same.
            KeyReused: the caller used the key for another name.
            StillInProgress: another request with the key did not finish in time.
            DatabaseBusy: the database stayed locked; retry with the same key.
        """
        slug = slug_of(name)
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._patience
        while True:
            match await self._reserve(name, caller, key):
                case Proceed(reservation):
                    return decoded(await self._create(reservation, slug, name))
                case Finished(result):
                    return decoded(result)
                case Wait() as wait:
                    if not await wait.changed(deadline - clock()):
                        raise StillInProgress(key, self._patience)

    async def list(self) -> tuple[Agent, ...]:
        """All agents, the oldest first.

        Raises:
            DatabaseBusy: the database stayed locked.
        """
        async with self._database.autocommit() as connection:
            rows = await fetch(connection, "SELECT id, slug, name FROM agents ORDER BY rowid", ())
        return tuple(Agent(*row) for row in rows)

    async def _reserve(self, name: str, caller: str, key: str) -> Proceed | Wait | Finished:
        return await self._reservations.try_reserve(
            key, caller=caller, endpoint=ENDPOINT, fingerprint=fingerprint_of(name)
        )

    async def _create(self, reservation: Reservation, slug: str, name: str) -> str:
        """Make the agent and finish the key, in one transaction; what is stored is the answer."""
        async with self._reservations.holding(reservation), self._database.transaction() as connection:
            try:
                result = encoded(await insert(connection, slug, name))
            except self.definite as error:
                result = encoded(error)
            await self._reservations.set(connection, reservation, result)
        return result


def slug_of(name: str) -> str:
    """The slug for a name.

    Args:
        name: any text.

    Returns:
        The name in lower case, each run of other characters than ASCII letters and digits a hyphen.

    Raises:
        InvalidName: nothing is left of the name.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not slug:
        raise InvalidName(name)
    return slug


def fingerprint_of(name: str) -> str:
    """A digest of the request.

    Args:
        name: the name asked for, which is the whole request.

    Returns:
        Hexadecimal text, equal exactly where the requests are.
    """
    return hashlib.sha256(json.dumps({"name": name}).encode()).hexdigest()


async def insert(connection: aiosqlite.Connection, slug: str, name: str) -> Agent:
    """Insert an agent; the column's UNIQUE constraint decides whether the slug is free.

    Args:
        connection: a connection in a transaction.
        slug: the slug wanted.
        name: the agent's name.

    Returns:
        The agent, as durable as the transaction.

    Raises:
        SlugTaken: it is not; the transaction goes on as if this had not been tried.
    """
    agent = Agent(secrets.token_hex(8), slug, name)
    try:
        await connection.execute(
            "INSERT INTO agents (id, slug, name) VALUES (?, ?, ?)", (agent.id, agent.slug, agent.name)
        )
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_UNIQUE:
            raise SlugTaken(slug) from error
        raise
    return agent


def encoded(answer: Agent | ServiceError) -> str:
    """An answer as it is stored under the key.

    Args:
        answer: the agent made, or one of :attr:`Agents.definite`.

    Returns:
        JSON text that tells a success from an error.
    """
    if isinstance(answer, Agent):
        return json.dumps({"agent": asdict(answer)})
    return json.dumps({type(answer).__name__: answer.args})


def decoded(result: str) -> Agent:
    """The stored answer, given again.

    Args:
        result: what :func:`encoded` made.

    Returns:
        The agent, where that was the answer.

    Raises:
        SlugTaken: where that was the answer.
    """
    answer = json.loads(result)
    if "agent" in answer:
        return Agent(**answer["agent"])
    raise SlugTaken(*answer["SlugTaken"])
