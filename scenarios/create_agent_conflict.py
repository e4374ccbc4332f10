"""Clients send the same request, with the same key, for a name that another agent already has.

The request fails, and the error is its answer. If the reservation stays behind, a retry waits for an owner that is gone.
If a waiter returns the stored result when it wakes, it may return None. However the requests overlap, every client must
be told that the name is taken.
"""

from __future__ import annotations

from pathlib import Path

from harness.scenario import Check, Scenario, Workload
from harness.values.history import History
from reference_impl.service import Service
from scenarios import create_agent_retry
from scenarios.rules import CLEAN_CONNECTIONS, OVERLAPPED, UNIQUE_SLUGS, rows
from scenarios.service import OPERATIONS, with_variants

__all__ = ["SCENARIO"]


async def prepare(service: Service, _: Path) -> None:
    """Add the agent that has the name."""
    await service.agents.add("Alpha", caller="setup", key="alpha")


def all_told(history: History, db: Path) -> None:
    """Check LIVE and REAL: every client is told that the slug is taken, and no agent was made."""
    for outcome in history.outcomes("add"):
        answer = outcome.error or repr(outcome.value)
        assert outcome.error == "SlugTaken", f"{outcome.client} was told {answer} instead of SlugTaken"
    assert rows(db, "SELECT count(*) FROM agents") == [(1,)], "an agent was made for a name that is taken"


def workload(workers: int) -> Workload:
    """Return one client for each worker, all with the same key."""
    return Workload.each("add", "Alpha", "caller", "key", workers=workers)


SCENARIO = with_variants(
    Scenario(
        name="create-agent-conflict",
        story=__doc__,
        setup=lambda _: None,
        operations=OPERATIONS,
        workload=workload,
        workloads=create_agent_retry.workloads,
        invariants=(UNIQUE_SLUGS,),
        postconditions=(Check("LIVE every client is told the name is taken", all_told), CLEAN_CONNECTIONS),
        must_happen=(OVERLAPPED,),
        raising_fails=False,
        ordered=False,
    ),
    prepare,
    ("r20-exception-leaves-reservation", "r34-waiter-returns-none"),
)
