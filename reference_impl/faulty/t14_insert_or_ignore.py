"""T14: the token is inserted by INSERT OR IGNORE, and then read back by the last inserted row's number.

Where the agent has a token, the insert does nothing, and the connection's last inserted row is another one, or none. The
client gets a token that is not in the database.

Rule broken: TOKR, a returned token is real. Needs two requests; no preemption.
"""

import hashlib
import secrets
import time
from functools import partial

from reference_impl import service
from reference_impl.database import fetch, initialise
from reference_impl.tokens import IssuedToken, TokenStore, find_agent

__all__ = ["NAME", "initialise", "open_service"]

NAME = "t14-insert-or-ignore"


class IgnoringTokenStore(TokenStore):
    """A token store that lets the index decide, and does not check the outcome."""

    async def issue(self, agent: str) -> IssuedToken:
        """Behave as the reference, as long as the agent has no token."""
        token_id = secrets.token_hex(8)
        secret = f"{token_id}.{secrets.token_urlsafe(32)}"
        async with self._database.transaction() as connection:
            agent_id, _ = await find_agent(connection, agent)
            await connection.execute(
                "INSERT OR IGNORE INTO tokens (id, agent_id, secret_hash, issued_at) VALUES (?, ?, ?, ?)",
                (token_id, agent_id, hashlib.sha256(secret.encode()).hexdigest(), time.time()),
            )
            rows = await fetch(connection, "SELECT id FROM tokens WHERE rowid = last_insert_rowid()", ())
        return IssuedToken(rows[0][0] if rows else token_id, agent, secret)


open_service = partial(service.open_service, tokens=IgnoringTokenStore)
