"""P09: the code goes on after ON CONFLICT DO NOTHING as if the row had been inserted.

Clients ask for a token for one agent. Each request checks whether there is one, and inserts. Where another request comes
in between, the index is meant to prevent a second token, without an error. It does: nothing is inserted. But the client
gets a token that is not in the database.

Rule broken: TOKR, a returned token is durable. Needs two requests and one preemption.
"""

import hashlib
import secrets
from functools import partial

from reference_impl import service
from reference_impl.backend import Connection
from reference_impl.errors import ActiveTokenExists
from reference_impl.moments import FromNow
from reference_impl.schema import initialise
from reference_impl.tokens import IssuedToken, TokenStore, find_agent

__all__ = ["NAME", "initialise", "open_service"]

NAME = "p09-conflict-taken-for-insert"


class AsksNoQuestions(TokenStore):
    """A token store that assumes that a statement without an error has inserted its row."""

    async def _issue(self, connection: Connection, agent: str) -> tuple[str, IssuedToken]:
        agent_id, active = await find_agent(connection, agent)
        if active is not None:
            raise ActiveTokenExists(agent)
        token_id = secrets.token_hex(8)
        secret = f"{token_id}.{secrets.token_urlsafe(32)}"
        await connection.execute(
            "INSERT INTO tokens (id, agent_id, secret_hash, issued_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (token_id, agent_id, hashlib.sha256(secret.encode()).hexdigest(), FromNow()),
        )
        return agent_id, IssuedToken(token_id, agent, secret)


open_service = partial(service.open_service, tokens=AsksNoQuestions)
