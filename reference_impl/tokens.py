"""Tokens: at most one active token per agent, shown once and kept hashed."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

from reference_impl.backend import Backend, Connection, is_duplicate
from reference_impl.containers import Containers
from reference_impl.database import fetch
from reference_impl.errors import ActiveTokenExists, NoActiveToken, UnknownAgent
from reference_impl.moments import FromNow


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token in the one form that includes its secret, which is shown only once.

    Attributes:
        id: the token's name; not secret.
        agent: the agent's slug.
        secret: the text that the agent authenticates with: ``"<id>.<random>"``.
        serial: the token's number among the agent's tokens; a newer token has a greater one.
    """

    id: str
    agent: str
    secret: str = field(repr=False)
    serial: int = 0


class TokenStore:
    """Issues, rotates, revokes and verifies tokens. Safe for several tasks and several workers.

    Args:
        database: this worker's database.
        containers: the platform to deliver new tokens to, if there is one.
    """

    def __init__(self, database: Backend, containers: Containers | None = None) -> None:
        self._database, self._containers = database, containers

    async def issue(self, agent: str) -> IssuedToken:
        """Issue a token to an agent that has none.

        Args:
            agent: the agent's slug.

        Returns:
            The token, durable when this returns.

        Raises:
            UnknownAgent: no agent has the slug.
            ActiveTokenExists: the agent has an active token.
            DatabaseBusy: the database stayed locked; nothing was issued.
        """
        agent_id, token = await self._database.run(lambda connection: self._issue(connection, agent))
        return await self._delivered(agent_id, token)

    async def rotate(self, agent: str) -> IssuedToken:
        """Replace the agent's active token; the old one stops working at the instant at which the new one starts to.

        Args:
            agent: the agent's slug.

        Returns:
            The new token, durable when this returns.

        Raises:
            UnknownAgent: no agent has the slug.
            NoActiveToken: there is nothing to replace.
            DatabaseBusy: the database stayed locked; the old token is still active.
        """
        agent_id, token = await self._database.run(lambda connection: self._rotate(connection, agent))
        return await self._delivered(agent_id, token)

    async def _issue(self, connection: Connection, agent: str) -> tuple[str, IssuedToken]:
        await self._alone_with(connection, agent)
        agent_id, active = await find_agent(connection, agent)
        if active is not None:
            raise ActiveTokenExists(agent)
        return agent_id, await insert_token(connection, agent, agent_id)

    async def _rotate(self, connection: Connection, agent: str) -> tuple[str, IssuedToken]:
        await self._alone_with(connection, agent)
        agent_id, active = await find_agent(connection, agent)
        # A revocation locks the token and not the agent, so it may have come in between.
        if active is None or not await revoke_token(connection, agent, active):
            raise NoActiveToken(agent)
        return agent_id, await insert_token(connection, agent, agent_id)

    async def _alone_with(self, connection: Connection, agent: str) -> None:
        """Lock an agent's row. A statement of its own, so that the next one sees the previous holder's commit."""
        await self._database.lock(connection, "SELECT 1 FROM agents WHERE slug = ?", (agent,))

    async def _delivered(self, agent_id: str, token: IssuedToken) -> IssuedToken:
        """Deliver the token to the agent's container, with a serial by which a newer token wins in any order of arrival."""
        if self._containers is not None:
            await self._containers.deliver(agent_id, token.id, token.serial)
        return token

    async def revoke(self, agent: str, token_id: str) -> None:
        """Revoke one token, named by its id, so that a late request can't revoke the token's successor.

        Args:
            agent: the agent's slug.
            token_id: the token to revoke.

        Raises:
            NoActiveToken: this token is not active, or is not this agent's (an unknown agent has none).
            DatabaseBusy: the database stayed locked; nothing was revoked.
        """
        async with self._database.autocommit() as connection:
            revoked = await revoke_token(connection, agent, token_id)
        if not revoked:
            raise NoActiveToken(agent)

    async def verify(self, secret: str) -> str | None:
        """Return the agent that has an active token with this secret.

        The look-up is by the token's id and the comparison of hashes takes constant time, so the time taken
        reveals nothing about the secret. A plain SHA-256 is enough: the secret is random, so a dictionary of
        likely secrets is of no use.

        Args:
            secret: the text that the agent sent.

        Returns:
            The agent's slug, or None where no active token has this secret.

        Raises:
            DatabaseBusy: the database stayed locked.
        """
        token_id = secret.partition(".")[0]
        async with self._database.autocommit() as connection:
            rows = await fetch(
                connection,
                "SELECT slug, secret_hash FROM tokens JOIN agents ON agents.id = tokens.agent_id"
                " WHERE tokens.id = ? AND tokens.revoked_at IS NULL",
                (token_id,),
            )
        for slug, secret_hash in rows:
            if hmac.compare_digest(str(secret_hash), _hashed(secret)):
                return str(slug)
        return None

    async def get_active(self, agent: str) -> str | None:
        """Return the id of the agent's active token.

        Args:
            agent: the agent's slug.

        Returns:
            The token's id, or None where the agent has no active token.

        Raises:
            UnknownAgent: no agent has the slug.
            DatabaseBusy: the database stayed locked.
        """
        async with self._database.autocommit() as connection:
            return (await find_agent(connection, agent))[1]


async def find_agent(connection: Connection, agent: str) -> tuple[str, str | None]:
    """Look up an agent and its active token, in one statement.

    Args:
        connection: the connection to use.
        agent: the agent's slug.

    Returns:
        The agent's id, and the id of its active token or None.

    Raises:
        UnknownAgent: no agent has the slug.
    """
    rows = await fetch(
        connection,
        "SELECT agents.id, tokens.id FROM agents LEFT JOIN tokens"
        " ON tokens.agent_id = agents.id AND tokens.revoked_at IS NULL WHERE agents.slug = ?",
        (agent,),
    )
    if not rows:
        raise UnknownAgent(agent)
    agent_id, token_id = rows[0]
    return agent_id, token_id


async def insert_token(connection: Connection, agent: str, agent_id: str) -> IssuedToken:
    """Make a token, insert it and return it.

    Args:
        connection: the connection to use.
        agent: the agent's slug.
        agent_id: the agent's id.

    Returns:
        The token; it is durable once the transaction is committed.

    Raises:
        ActiveTokenExists: the index on active tokens refused it.
    """
    token_id = secrets.token_hex(8)
    secret = f"{token_id}.{secrets.token_urlsafe(32)}"
    try:
        rows = await fetch(
            connection,
            "INSERT INTO tokens (id, agent_id, secret_hash, issued_at, serial) VALUES (?, ?, ?, ?,"
            " (SELECT coalesce(max(serial), 0) + 1 FROM tokens WHERE agent_id = ?)) RETURNING serial",
            (token_id, agent_id, _hashed(secret), FromNow(), agent_id),
        )
    except Exception as error:
        if is_duplicate(error):  # the index on active tokens
            raise ActiveTokenExists(agent) from error
        raise
    return IssuedToken(token_id, agent, secret, rows[0][0])


async def revoke_token(connection: Connection, agent: str, token_id: str) -> bool:
    """Revoke one token of an agent.

    Args:
        connection: the connection to use.
        agent: the agent's slug.
        token_id: the token.

    Returns:
        Whether the token was active and belonged to the agent.
    """
    cursor = await connection.execute(
        "UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL"
        " AND agent_id = (SELECT id FROM agents WHERE slug = ?)",
        (FromNow(), token_id, agent),
    )
    return cursor.rowcount == 1


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
