"""Clients send the same request, with the same idempotency key, to several workers at once.

A client that got no answer in time sends its request again, and the retry reaches another worker while the first
is still at work. If both make the agent, there are two, and a ``-2`` in the slug hides it. However the requests overlap,
there must be one agent in the end, and every client must get that agent.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.scenario import Check, Scenario, Workload
from harness.values.history import History
from reference_impl.service import Service
from scenarios.rules import CLEAN_CONNECTIONS, CONTENDED, OVERLAPPED, UNIQUE_SLUGS, rows
from scenarios.service import OPERATIONS, with_variants

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["SCENARIO"]


async def prepare(_: Service, __: Path) -> None:
    """Begin with no agents."""


def at_most_one(db: Path) -> None:
    """Check ONCE: the key makes at most one agent."""
    agents = rows(db, "SELECT slug FROM agents ORDER BY slug")
    assert len(agents) <= 1, f"one key made {len(agents)} agents: {', '.join(slug for (slug,) in agents)}"


def same_answer(history: History, db: Path) -> None:
    """Check SAME and REAL: every client gets the agent that is in the database."""
    agents = [{"id": row[0], "slug": row[1], "name": row[2]} for row in rows(db, "SELECT id, slug, name FROM agents")]
    for outcome in history.outcomes("add"):
        assert outcome.ok, f"{outcome.client} was told {outcome.error}: {outcome.value}"
        assert outcome.value in agents, f"{outcome.client} was told of {outcome.value}, but there is {agents}"


def workload(workers: int) -> Workload:
    """Return one client for each worker, all with the same key."""
    return Workload.each("add", "Alpha", "caller", "key", workers=workers)


def workloads(workers: int) -> SearchStrategy[Workload]:
    """Return a strategy: up to three clients that send the request up to two times each, to any worker."""
    from hypothesis import strategies as st

    from harness.strategies import workloads as drawn

    return drawn({"add": st.just(("Alpha", "caller", "key"))}, workers=workers, clients=3, calls=2)


SCENARIO = with_variants(
    Scenario(
        name="create-agent-retry",
        story=__doc__,
        setup=lambda _: None,
        operations=OPERATIONS,
        workload=workload,
        workloads=workloads,
        invariants=(Check("ONCE one agent per key", at_most_one), UNIQUE_SLUGS),
        postconditions=(Check("SAME every client is told of the one agent", same_answer), CLEAN_CONNECTIONS),
        must_happen=(OVERLAPPED, CONTENDED),
        raising_fails=False,
        ordered=False,
    ),
    prepare,
    ("r01-get-then-set", "r02-select-then-put", "r03-in-memory-reservation", "c04-conflict-suffix"),
)
