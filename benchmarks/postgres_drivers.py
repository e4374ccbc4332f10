"""`python -m benchmarks.postgres_drivers`: compares asyncpg and psycopg on the service's most frequent transactions.

It starts a server of its own. Each round runs two things ``CALLS`` times with either driver, in turns: the transaction that
issues a token, and the course of a reservation (claim, then one transaction that makes an agent and finishes the key, then
the announcement). It prints medians over the rounds: of the time that passed, and of the client's processor time. Decision
0014 rests on them.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import psycopg

from reference_impl.postgres.schema import upgrade
from tests import postgres

ROUNDS, CALLS = 9, 400

FIND = (
    "SELECT agents.id, tokens.id FROM agents LEFT JOIN tokens ON tokens.agent_id = agents.id"
    " AND tokens.revoked_at IS NULL WHERE slug = $1"
)
LOCK = "SELECT 1 FROM agents WHERE slug = $1 FOR UPDATE"
TOKEN = (
    "INSERT INTO tokens (id, agent_id, secret_hash, issued_at, serial) VALUES ($1, $2, $3, 0,"
    " (SELECT coalesce(max(serial), 0) + 1 FROM tokens WHERE agent_id = $2)) RETURNING serial"
)
CLAIM = (
    "INSERT INTO reservations (caller, endpoint, key, fingerprint, state, generation) VALUES ('c', 'e', $1, 'f', 'pending', 1)"
    " ON CONFLICT (caller, endpoint, key) DO NOTHING RETURNING generation"
)
AGENT = "INSERT INTO agents (id, slug, name) VALUES ($1, $1, $1) ON CONFLICT (slug) DO NOTHING"
FINISH = (
    "UPDATE reservations SET state = 'finished', result = $2 WHERE caller = 'c' AND endpoint = 'e' AND key = $1"
    " AND state = 'pending' AND generation = $3"
)
NOTIFY = "SELECT pg_notify('reservations', $1)"
CLEAR = "DELETE FROM tokens"

Run = Callable[..., Awaitable[list[Any]]]


async def issue(run: Run, key: str) -> None:
    """Issue a token."""
    await run("BEGIN")
    await run(LOCK, "a")
    ((agent, _),) = await run(FIND, "a")
    assert await run(TOKEN, key, agent, "h" * 64)
    await run("COMMIT")


async def reserve(run: Run, key: str) -> None:
    """Make an agent under a key."""
    ((generation,),) = await run(CLAIM, key)
    await run("BEGIN")
    await run(AGENT, key)
    await run(FINISH, key, "{}", generation)
    await run("COMMIT")
    await run(NOTIFY, key)


def over_asyncpg(connection: Any) -> Run:
    """Return a function that runs a statement by asyncpg and returns its rows."""

    async def run(sql: str, *values: object) -> list[Any]:
        if not values:
            await connection.execute(sql)
            return []
        return list(await connection.fetch(sql, *values))

    return run


def over_psycopg(connection: psycopg.AsyncConnection[Any]) -> Run:
    """Return a function that runs a statement by psycopg and returns its rows."""
    said: dict[str, bytes] = {}

    async def run(sql: str, *values: object) -> list[Any]:
        if sql not in said:
            said[sql] = re.sub(r"\$(\d)", r"%(p\1)s", sql).encode()
        named = {f"p{number}": value for number, value in enumerate(values, 1)}
        cursor = await connection.execute(said[sql], named or None, prepare=None if named else False)
        return await cursor.fetchall() if cursor.description else []

    return run


async def measure(url: str) -> None:
    """Run the rounds, and print their medians."""
    await upgrade(url)
    postgres.execute(url, "INSERT INTO agents (id, slug, name) VALUES ('a', 'a', 'a')")
    first, second = await asyncpg.connect(url), await psycopg.AsyncConnection.connect(url, autocommit=True)
    drivers = {"asyncpg": over_asyncpg(first), "psycopg": over_psycopg(second)}
    took: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for number in range(ROUNDS):
        for name in sorted(drivers, reverse=bool(number % 2)):
            for call in (issue, reserve):
                passed = used = 0.0
                for at in range(CALLS):
                    began, processor = time.perf_counter(), time.process_time()
                    await call(drivers[name], f"{name}{number}-{at}")
                    passed += time.perf_counter() - began
                    used += time.process_time() - processor
                    if call is issue:
                        await drivers[name](CLEAR)
                took.setdefault((call.__name__, name), []).append((passed / CALLS * 1e6, used / CALLS * 1e6))
    for call in (issue, reserve):
        for at, what in enumerate(("time", "processor")):
            ours, theirs = ([each[at] for each in took[call.__name__, name][1:]] for name in ("psycopg", "asyncpg"))
            ratios = sorted(one / other for one, other in zip(ours, theirs, strict=True))
            print(
                f"{call.__name__}, {what}: asyncpg {statistics.median(theirs):.0f} us, psycopg {statistics.median(ours):.0f}"
                f" us, the ratio {statistics.median(ratios):.2f} (rounds: {ratios[0]:.2f} to {ratios[-1]:.2f})"
            )
    await first.close()
    await second.close()


def main() -> None:
    """Start a server and measure."""
    with postgres.running() as server:
        asyncio.run(measure(server.create()))


if __name__ == "__main__":
    main()
