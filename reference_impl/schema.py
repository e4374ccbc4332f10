"""The tables of the service: created here alone, together with the choice of the journal mode."""

from typing import Literal

import aiosqlite

from reference_impl.backend import Address, file_of, is_postgres

JournalMode = Literal["delete", "wal"]

# The partial index is the last line of defence: whatever the code does, an agent never has two active tokens.
# It has to be partial, because in UNIQUE(agent_id, revoked_at) two NULLs are distinct (SQLite docs, "Partial
# Indexes"). References are not enforced: that takes a PRAGMA per connection, and issuing reads the agent in
# its own transaction.
SCHEMA = """
CREATE TABLE IF NOT EXISTS agents (
    id TEXT PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    image TEXT,
    container TEXT
);
CREATE TABLE IF NOT EXISTS tokens (
    id TEXT PRIMARY KEY,
    agent_id TEXT NOT NULL REFERENCES agents (id),
    secret_hash TEXT NOT NULL,
    serial INTEGER NOT NULL DEFAULT 0,
    issued_at REAL NOT NULL,
    revoked_at REAL
);
CREATE UNIQUE INDEX IF NOT EXISTS uniq_agent_active_token ON tokens (agent_id) WHERE revoked_at IS NULL;
CREATE TABLE IF NOT EXISTS reservations (
    caller TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'finished', 'released')),
    generation INTEGER NOT NULL,
    lease_until REAL NOT NULL DEFAULT 0,
    expires_at REAL,
    result TEXT,
    PRIMARY KEY (caller, endpoint, key)
);
CREATE TABLE IF NOT EXISTS deployments (
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    name TEXT NOT NULL,
    image TEXT NOT NULL,
    PRIMARY KEY (caller, key)
);
"""


async def initialise(path: Address, *, journal_mode: JournalMode = "delete") -> None:
    """Create the tables and choose the journal mode. Call it once, before any worker opens the database.

    In PostgreSQL the missing migrations are applied (see ``postgres/migrations``), and the journal mode has no effect.

    WAL is a property of the file, so workers never set it; changing it does not wait for locks (SQLite docs,
    "WAL").

    Args:
        path: a URL ``postgresql://...``, or the database file, which is created where absent.
        journal_mode: ``"delete"`` (rollback journal) or ``"wal"``.

    Raises:
        ValueError: for any other journal mode.
        sqlite3.Error: where the file can't be opened or changed.
        OSError: where a PostgreSQL database can't be reached or changed.
    """
    if journal_mode not in ("delete", "wal"):
        raise ValueError(f"journal_mode must be 'delete' or 'wal', not {journal_mode!r}")
    if is_postgres(path):
        from reference_impl.postgres.schema import upgrade

        return await upgrade(str(path))
    async with aiosqlite.connect(file_of(path), isolation_level=None) as connection:
        await connection.execute_fetchall(f"PRAGMA journal_mode = {journal_mode}")
        await connection.executescript(SCHEMA)


async def create(address: Address, script: str) -> None:
    """Run statements that create tables without migrations: tables that are made once and never changed.

    Args:
        address: a URL ``postgresql://...``, or the database file, which is created where absent.
        script: the statements.

    Raises:
        sqlite3.Error: where the file can't be opened or changed.
        OSError: where a PostgreSQL database can't be reached or changed.
    """
    if is_postgres(address):
        from reference_impl.postgres.schema import execute

        return await execute(str(address), script)
    async with aiosqlite.connect(file_of(address), isolation_level=None) as connection:
        await connection.executescript(script)
