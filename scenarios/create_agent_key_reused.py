"""Two clients send different requests under the same idempotency key, to different workers.

One of them made a mistake, and must be told so: an answer that was made for another request is worse than an error.
However the requests overlap, one agent must be made, its client must get it, and the other client must be told that the
key was used.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.scenario import Call, Check, Client, Workload
from harness.values.history import History
from scenarios import create_agent_retry
from scenarios.rules import CLEAN_CONNECTIONS, rows, told
from scenarios.service import KEY_REUSED, with_variants

__all__ = ["SCENARIO"]


def own_answer(history: History, db: Path) -> None:
    """Check SCOPE: an answer is about the name in its request, and every client but the first is told KeyReused."""
    outcomes = history.outcomes("add")
    for outcome in told(outcomes, "ok"):
        name = outcome.value["name"] if isinstance(outcome.value, dict) else outcome.value
        assert name == outcome.arguments[0], (
            f"{outcome.client} asked for {outcome.arguments[0]!r}, was told of {name!r}"
        )
    assert len(told(outcomes, "ok")) == 1, f"{len(told(outcomes, 'ok'))} clients were told of an agent"
    assert len(told(outcomes, "fail", KEY_REUSED)) == len(outcomes) - 1, "not every other client was told KeyReused"
    assert rows(db, "SELECT count(*) FROM agents") == [(1,)], "not one agent was made"


def workload(workers: int) -> Workload:
    """Return one client for each worker, all with one key, each with a name of its own."""
    return Workload(tuple(Client((Call("add", (f"Agent {n}", "caller", "key"), n),)) for n in range(workers)), workers)


SCENARIO = with_variants(
    replace(
        create_agent_retry.SCENARIO,
        name="create-agent-key-reused",
        story=__doc__,
        workload=workload,
        workloads=None,
        postconditions=(Check("SCOPE no client is given another's answer", own_answer), CLEAN_CONNECTIONS),
    ),
    create_agent_retry.prepare,
    ("r16-no-fingerprint",),
)
