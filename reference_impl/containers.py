"""The interface of a container platform, and a fake of it that several processes can share."""

import secrets
from typing import ClassVar, Protocol

from reference_impl.backend import Address, open_backend
from reference_impl.database import fetch
from reference_impl.schema import create

_SCHEMA = """
CREATE TABLE IF NOT EXISTS containers (
    key TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    image TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS delivered (
    agent_id TEXT PRIMARY KEY,
    token_id TEXT NOT NULL,
    serial INTEGER NOT NULL
);
"""


class Containers(Protocol):
    """A platform that runs containers. It is an external system: no transaction of the service includes it."""

    async def start(self, key: str, agent_id: str, image: str) -> str:
        """Start a container, or return the one that was started under this key before.

        Args:
            key: the same for every attempt at one deployment.
            agent_id: the agent that the container is for.
            image: the image to run.

        Returns:
            The container's id.

        Raises:
            ContainerFailed: the container can't be started for now.
        """

    async def deliver(self, agent_id: str, token_id: str, serial: int) -> None:
        """Hand an agent's container its token. A token that arrives after a newer one is dropped.

        Args:
            agent_id: the agent that the container belongs to.
            token_id: the token's id.
            serial: the token's number among the agent's tokens; a newer token has a greater one.
        """


class RecordedContainers:
    """A fake platform that only records containers, in a database of its own.

    Args:
        address: its database, a URL or a file; already initialised.
        busy_timeout: how long a statement waits for another's lock, in seconds.
    """

    NEWER: ClassVar[str] = "WHERE excluded.serial > delivered.serial"

    def __init__(self, address: Address, *, busy_timeout: float = 5.0) -> None:
        self.address = address
        self._database = open_backend(address, busy_timeout=busy_timeout)

    @staticmethod
    async def initialise(address: Address) -> None:
        """Create the tables. Call it once, before any worker starts.

        Args:
            address: a URL, or the database file; a file is created where absent.

        Raises:
            sqlite3.Error: where the file can't be opened or changed.
            OSError: where a PostgreSQL database can't be reached or changed.
        """
        await create(address, _SCHEMA)

    async def start(self, key: str, agent_id: str, image: str) -> str:
        """Record a container, or return the one recorded under this key; see :meth:`Containers.start`."""
        async with self._database.autocommit() as connection:
            rows = await fetch(
                connection,
                "INSERT INTO containers (key, id, agent_id, image) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING id",
                (key, secrets.token_hex(8), agent_id, image),
            )
        return str(rows[0][0])

    async def deliver(self, agent_id: str, token_id: str, serial: int) -> None:
        """Record the token delivered to an agent's container; see :meth:`Containers.deliver`."""
        async with self._database.autocommit() as connection:
            await connection.execute(
                "INSERT INTO delivered (agent_id, token_id, serial) VALUES (?, ?, ?) ON CONFLICT (agent_id)"
                f" DO UPDATE SET token_id = excluded.token_id, serial = excluded.serial {self.NEWER}",
                (agent_id, token_id, serial),
            )

    async def close(self) -> None:
        """Close the connections."""
        await self._database.close()
