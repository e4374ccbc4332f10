"""The speed of token issue over PostgreSQL: two workers, `psycopg`, READ COMMITTED, the agent's row locked.

The floor is the same statements, one worker after the other, in one process on one core. It keeps the same two connections
for all executions, and resets the rows before each, as the harness does.
"""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.floor import one_core
from benchmarks.in_sequence import InSequence

WORKERS = 2
AGENT = "SELECT id FROM agents WHERE slug = %s FOR UPDATE"
ACTIVE = "SELECT id FROM tokens WHERE agent_id = %s AND revoked_at IS NULL"
INSERT = "INSERT INTO tokens (agent_id, secret_hash) VALUES (%s, %s)"


def set_up(db: Any) -> None:
    """Make a database with one agent and no token."""
    import psycopg

    with psycopg.connect(db) as connection:
        connection.execute("CREATE TABLE agents (id text PRIMARY KEY, slug text NOT NULL UNIQUE)")
        connection.execute(
            "CREATE TABLE tokens (id serial PRIMARY KEY, agent_id text NOT NULL REFERENCES agents, secret_hash text NOT NULL,"
            " revoked_at timestamptz)"
        )
        connection.execute("CREATE UNIQUE INDEX uniq_agent_active_token ON tokens (agent_id) WHERE revoked_at IS NULL")
        connection.execute("INSERT INTO agents VALUES ('a1', 'alpha')")


def issue(connection: Any) -> bool:
    """Issue a token if the agent has none, and return whether it was issued."""
    with connection.transaction():
        ((agent,),) = connection.execute(AGENT, ("alpha",)).fetchall()
        if connection.execute(ACTIVE, (agent,)).fetchall():
            return False
        connection.execute(INSERT, (agent, "hash"))
        return True


def worker(db: Any) -> bool:
    """Make one call of one client."""
    import psycopg

    with psycopg.connect(db, autocommit=True) as connection:
        return issue(connection)


def floor_rate(executions: int, folder: Path) -> dict[str, Any]:
    """Measure the floor, on one core."""
    import psycopg

    from harness.boundary.inherited_locks import Inherited
    from harness.control.testbed.shared_database import SharedDatabase

    with one_core(), closing(SharedDatabase(folder / "world", Inherited())) as world:
        set_up(world.db)
        world.take_template()
        url = f"{world.db}&application_name=race-harness%20kept"  # not ended when the rows are put back
        with psycopg.connect(url, autocommit=True) as first, psycopg.connect(url, autocommit=True) as second:
            for done in range(executions // 10 + executions):
                if done == executions // 10:
                    started = time.perf_counter()
                world.reset()
                assert issue(first)
                assert not issue(second)
            return {"rate": executions / (time.perf_counter() - started), "executions": executions}


def our_rate(executions: int, *, checked: bool, interleaved: bool = True) -> dict[str, Any]:
    """Measure the harness: *executions* random interleavings over two workers, or one call after the other."""
    from harness.control.run import run
    from harness.scenario import Check, Scenario, Workload

    scenario = Scenario(
        name="issue-over-postgres",
        setup=set_up,
        operations={"issue": worker},
        workload=lambda workers: Workload.each("issue", workers=workers),
        at_end=(Check("one token", one_token),) if checked else (),
        ordered=False,
        database="postgresql",
    )
    scheduler = "random" if interleaved else InSequence()
    result = run(scenario, workers=WORKERS, scheduler=scheduler, seed=1, max_executions=executions)
    return {
        "rate": result.executions / result.seconds,
        "executions": result.executions,
        "seconds": result.seconds,
        "startup_seconds": result.startup_seconds,
        "verdict": str(result.verdict),
    }


def one_token(db: Any) -> bool:
    """Return whether there is exactly one token."""
    from scenarios.reading import rows

    return rows(db, "SELECT count(*) FROM tokens") == [(1,)]
