"""Clients add different agents, with keys of their own, at several workers at once.

The requests share nothing but the database. However they overlap, every agent that was acknowledged must be in it at the
end, under a slug of its own.
"""

from __future__ import annotations

from pathlib import Path

from harness.scenario import Call, Check, Client, Scenario, Workload
from harness.values.history import History
from reference_impl.service import Service
from scenarios.rules import CLEAN_CONNECTIONS, CONTENDED, OVERLAPPED, UNIQUE_SLUGS, rows
from scenarios.service import OPERATIONS, with_variants

__all__ = ["SCENARIO"]


async def prepare(_: Service, __: Path) -> None:
    """Begin with no agents."""


def none_lost(history: History, db: Path) -> None:
    """Check CFG: every client got an agent, and every one of these agents is in the database."""
    there = [{"id": row[0], "slug": row[1], "name": row[2]} for row in rows(db, "SELECT id, slug, name FROM agents")]
    for outcome in history.outcomes("add"):
        assert outcome.value in there, f"{outcome.client} was told of {outcome.value}, but there is {there}"
    assert len(there) == len(history.outcomes("add")), f"{len(there)} agents are there"


def workload(workers: int) -> Workload:
    """Return one client for each worker, each with a name and a key of its own."""
    return Workload(
        tuple(Client((Call("add", (f"Agent {n}", "caller", f"key {n}"), n),)) for n in range(workers)), workers
    )


SCENARIO = with_variants(
    Scenario(
        name="create-agents-distinct",
        story=__doc__,
        setup=lambda _: None,
        operations=OPERATIONS,
        workload=workload,
        invariants=(UNIQUE_SLUGS,),
        postconditions=(Check("CFG no acknowledged agent is lost", none_lost), CLEAN_CONNECTIONS),
        must_happen=(OVERLAPPED, CONTENDED),
        ordered=False,
    ),
    prepare,
    (),
)
