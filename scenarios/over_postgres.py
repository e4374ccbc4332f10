"""The scenarios over PostgreSQL: those that do not depend on SQLite, with the variants that only PostgreSQL makes possible."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Any

from harness.scenario import Call, Client, Scenario, Workload
from reference_impl.faulty import SQLITE_ONLY, postgres
from reference_impl.service import Service
from scenarios.bearer_over_http import BEARERS_OVER_HTTP
from scenarios.create_agent_conflict import SCENARIO as CREATE_AGENT_CONFLICT
from scenarios.create_agent_key_reused import SCENARIO as CREATE_AGENT_KEY_REUSED
from scenarios.create_agent_retry import SCENARIO as CREATE_AGENT_RETRY
from scenarios.create_agents_distinct import SCENARIO as CREATE_AGENTS_DISTINCT
from scenarios.isolation import SCENARIOS as ISOLATION
from scenarios.issue_token import SCENARIO as ISSUE_TOKEN
from scenarios.issue_token_tasks import SCENARIO as ISSUE_TOKEN_TASKS
from scenarios.keyed_requests import ALL as KEYED_REQUESTS
from scenarios.keyed_requests import LEASE
from scenarios.keyed_requests import PLAIN as KEYED_PLAIN
from scenarios.linearizable import ALL as LINEARIZABLE
from scenarios.more_requests import ALL as MORE_REQUESTS
from scenarios.over_http import ADD_AGENT_OVER_HTTP
from scenarios.revoke_vs_rotate import SCENARIO as REVOKE_VS_ROTATE
from scenarios.revoke_vs_verify import SCENARIO as REVOKE_VS_VERIFY
from scenarios.rotate_token import SCENARIO as ROTATE_TOKEN
from scenarios.rules import CONTENDED
from scenarios.service import Prepared

__all__ = ["ALL", "on_postgres"]

_NOT_THERE = SQLITE_ONLY | {"r39-event-across-workers"}
"""Variants that are right over PostgreSQL, or can't be: an event across workers is what LISTEN and NOTIFY are."""
_ONLY_THERE = {
    "issue-token": ("p01-check-then-insert", "p02-write-skew", "p09-conflict-taken-for-insert"),
    "issue-token-in-time": ("p05-advisory-lock-leaks",),
    "rotate-token": ("p07-failure-not-retried", "p08-stale-rotation", "p14-join-under-lock"),
    "revoke-vs-rotate": ("p12-lock-order",),
    "create-agents-distinct": ("p06-retry-keeps-effects",),
    "keyed-plain": ("p03-lost-notify", "p04-locks-no-row", "p13-notify-before-commit"),
    "keyed-lease": ("p11-unfenced-completion",),
    "keyed-clocks": ("p10-client-clock",),
}
"""By scenario, the variants of ``reference_impl.faulty.postgres``."""


async def hold(service: Service, seconds: float) -> None:
    """Keep other transactions from making agents for *seconds*, by a lock on the table.

    Unlike in SQLite, an open transaction alone excludes nobody.
    """
    async with service.database.transaction() as connection:
        await connection.execute("LOCK TABLE agents IN SHARE MODE")
        await asyncio.sleep(seconds)


def on_postgres(scenario: Scenario) -> Scenario:
    """Return *scenario* over PostgreSQL, with its variants that can run there, and those for PostgreSQL only."""
    variants = {name: on_postgres(each) for name, each in scenario.variants.items() if name not in _NOT_THERE}
    happens = tuple(check for check in scenario.must_happen if check is not CONTENDED)
    there = replace(
        scenario,
        name=f"{scenario.name}-postgres",
        database="postgresql",
        operations={**scenario.operations, "hold": hold} if "hold" in scenario.operations else scenario.operations,
        variants=variants,
        must_happen=happens,
    )
    if not scenario.variant and find_spec("psycopg") is not None:
        variants.update({name: _variant(there, name) for name in _ONLY_THERE.get(scenario.name, ())})
    return there


@dataclass(frozen=True)
class _Later:
    """A variant that is imported only when used, so that listing scenarios does not import PostgreSQL's driver."""

    name: str

    async def initialise(self, db: Any, **options: Any) -> None:
        """Import the variant and make its database."""
        await postgres.load(self.name).initialise(db, **options)


async def _open(name: str, db: Any, **options: Any) -> Service:
    return await postgres.load(name).open_service(db, **options)


def _variant(scenario: Scenario, name: str) -> Scenario:
    """Return *scenario* over the variant *name*, opened with the same options as the reference."""
    assert isinstance(scenario.setup, Prepared)
    assert isinstance(scenario.open, partial)
    return replace(
        scenario,
        variant=name,
        variants={},
        setup=replace(scenario.setup, implementation=_Later(name)),
        open=partial(_open, name, **scenario.open.keywords),
    )


def _third(_: int) -> Workload:
    """Return two clients at one worker for different agents, and a third at another worker for one of these agents."""
    asked = (("alpha", 0), ("beta", 0), ("alpha", 1))
    return Workload(tuple(Client((Call("issue", (agent,), worker),)) for agent, worker in asked), 2)


# Where nobody is killed or late, nobody has to wait for longer than a transaction takes.
NO_WAITING = replace(
    ISSUE_TOKEN_TASKS,
    name="issue-token-in-time",
    story="Three clients at two workers ask for two agents' tokens: nobody is told that the database is busy.",
    workload=_third,
    workloads=None,
    workers=2,
    variants={},
    expected_errors=("ActiveTokenExists",),
)

# The server's clock is one for all; of two machines one may be wrong by more than a lease.
CLOCKS = replace(
    KEYED_PLAIN,
    name="keyed-clocks",
    story="Two clients send the same request under one key to two workers, and the clock of one is ahead by a lease.",
    skew=(0.0, LEASE + 1),
    variants={},
)

_RACED = (
    ISSUE_TOKEN, ISSUE_TOKEN_TASKS, NO_WAITING, ROTATE_TOKEN, REVOKE_VS_VERIFY, REVOKE_VS_ROTATE, CREATE_AGENT_RETRY,
    CREATE_AGENT_CONFLICT, *MORE_REQUESTS, ADD_AGENT_OVER_HTTP, *BEARERS_OVER_HTTP,
    CREATE_AGENT_KEY_REUSED, CREATE_AGENTS_DISTINCT, *KEYED_REQUESTS, CLOCKS, *LINEARIZABLE,
)  # fmt: skip

ALL = (*map(on_postgres, _RACED), *ISOLATION)
"""Every scenario over PostgreSQL."""
