"""The token issue that the benchmarks measure: the reference implementation's, and its statements on sqlite3.

Two workers issue a token to agent a1; the second one is told that there is one already.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from reference_impl.errors import ActiveTokenExists
from reference_impl.schema import SCHEMA
from reference_impl.service import open_service

FIND_AGENT = (
    "SELECT agents.id, tokens.id FROM agents LEFT JOIN tokens"
    " ON tokens.agent_id = agents.id AND tokens.revoked_at IS NULL WHERE agents.slug = ?"
)
INSERT_TOKEN = "INSERT INTO tokens (id, agent_id, secret_hash, issued_at) VALUES (?, ?, ?, ?)"


def set_up(db: Path) -> None:
    """Make the reference implementation's tables (in the default journal mode), and agent a1 without a token."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.executescript(SCHEMA)
        connection.execute("INSERT INTO agents (id, slug, name) VALUES ('1', 'a1', 'the first agent')")


def issue_sqlite3(db: Path) -> None:
    """Run the statements of the reference implementation, on `sqlite3`."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        ((agent_id, active),) = connection.execute(FIND_AGENT, ("a1",)).fetchall()
        if active is not None:
            connection.rollback()
            return
        connection.execute(INSERT_TOKEN, new_token(agent_id))
        connection.commit()


async def issue_aiosqlite(db: Path) -> None:
    """Call the reference implementation itself, with a fresh service per worker."""
    service = await open_service(db)
    try:
        with suppress(ActiveTokenExists):
            await service.tokens.issue("a1")
    finally:
        await service.close()


def issue_autocommit(db: Path) -> None:
    """Run the same statements without a transaction, so that both tools explore them; the index refuses the second token."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        ((agent_id, active),) = connection.execute(FIND_AGENT, ("a1",)).fetchall()
        if active is None:
            with suppress(sqlite3.IntegrityError):
                connection.execute(INSERT_TOKEN, new_token(agent_id))


def new_token(agent_id: str) -> tuple[str, str, str, float]:
    """Return the row of a fresh token."""
    token_id = secrets.token_hex(8)
    secret = f"{token_id}.{secrets.token_urlsafe(32)}"
    return token_id, agent_id, hashlib.sha256(secret.encode()).hexdigest(), time.time()


def one_active_token(db: Path) -> bool:
    """Return whether agent a1 has exactly one active token."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        rows = connection.execute(FIND_AGENT, ("a1",)).fetchall()
    return len(rows) == 1 and rows[0][1] is not None
