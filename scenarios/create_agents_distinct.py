"""Clients add different agents, with keys of their own, at several workers at once.

They have nothing to do with each other but the file. However the requests overlap, every agent that was acknowledged is
there in the end, under a slug of its own.
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
    """CFG: every client was acknowledged, and every acknowledged agent is there."""
    there = [{"id": row[0], "slug": row[1], "name": row[2]} for row in rows(db, "SELECT id, slug, name FROM agents")]
    for outcome in history.outcomes("add"):
        assert outcome.value in there, f"{outcome.client} was told of {outcome.value}, but there is {there}"
    assert len(there) == len(history.outcomes("add")), f"{len(there)} agents are there"


def workload(workers: int) -> Workload:
    """One client at each worker, each with a name and a key of its own."""
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
