"""Agents, tokens, reservations, deployments: the tables of SQLite, with PostgreSQL's types and a ``rowid``.

Moments are seconds since 1970, as in SQLite. ``rowid`` is a number that grows with each row, which SQLite has in every
table. References are not enforced, as in SQLite: the revoked tokens of a deleted agent stay.
"""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE agents (
    rowid bigint GENERATED ALWAYS AS IDENTITY,
    id text PRIMARY KEY,
    slug text NOT NULL UNIQUE,
    name text NOT NULL,
    image text,
    container text
);
CREATE TABLE tokens (
    rowid bigint GENERATED ALWAYS AS IDENTITY,
    id text PRIMARY KEY,
    agent_id text NOT NULL,
    secret_hash text NOT NULL,
    serial integer NOT NULL DEFAULT 0,
    issued_at double precision NOT NULL,
    revoked_at double precision
);
CREATE UNIQUE INDEX uniq_agent_active_token ON tokens (agent_id) WHERE revoked_at IS NULL;
CREATE INDEX tokens_of_agent ON tokens (agent_id, serial);
CREATE TABLE reservations (
    caller text NOT NULL,
    endpoint text NOT NULL,
    key text NOT NULL,
    fingerprint text NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'finished', 'released')),
    generation integer NOT NULL,
    lease_until double precision NOT NULL DEFAULT 0,
    expires_at double precision,
    result text,
    PRIMARY KEY (caller, endpoint, key)
);
CREATE TABLE deployments (
    caller text NOT NULL,
    key text NOT NULL,
    agent_id text NOT NULL,
    name text NOT NULL,
    image text NOT NULL,
    PRIMARY KEY (caller, key)
);
"""


def upgrade() -> None:
    """Create the tables."""
    op.execute(TABLES)


def downgrade() -> None:
    """Drop the tables with all their rows."""
    op.execute("DROP TABLE deployments, reservations, tokens, agents")
