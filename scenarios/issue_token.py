"""Clients ask for a token for one agent at the same time, each at another worker.

If two workers check before either has inserted, and nothing else holds them back, both insert and the agent has two
active tokens. However the requests overlap, exactly one client must get a token, that token must be the active one, and
the other clients must be told that there is one already.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.scenario import Check, Scenario, Workload
from harness.values.history import History, Step
from reference_impl.service import Service
from scenarios.rules import (
    CLEAN_CONNECTIONS,
    CONTENDED,
    ONE_ACTIVE_TOKEN,
    OVERLAPPED,
    RETURNED_TOKENS_ARE_REAL,
    rows,
    told,
)
from scenarios.service import OPERATIONS, with_variants

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["SCENARIO"]


async def prepare(service: Service, _: Path) -> None:
    """Add the agents."""
    await service.agents.add("Alpha", caller="setup", key="alpha")
    await service.agents.add("Beta", caller="setup", key="beta")


def one_each(history: History, db: Path) -> None:
    """Check that for each agent in the requests exactly one client got a token, and that it is the active one."""
    for agent in sorted({str(outcome.arguments[0]) for outcome in history.outcomes("issue")}):
        given = [o for o in told(history.outcomes("issue"), "ok") if o.arguments[0] == agent]
        assert len(given) == 1, f"{len(given)} clients were given a token of {agent!r}; it must be one"
        active = rows(
            db,
            "SELECT tokens.id FROM tokens JOIN agents ON agents.id = agent_id WHERE slug = ? AND revoked_at IS NULL",
            agent,
        )
        token = given[0].value
        assert isinstance(token, dict)
        assert (token["id"],) in active, f"the token that {given[0].client} was given is not active"


def refused(history: History, _: tuple[Step, ...]) -> bool:
    """Return whether a client was told that there is a token already."""
    return bool(told(history.outcomes("issue"), "fail", "ActiveTokenExists"))


def workload(workers: int) -> Workload:
    """Return one client for each worker, all for one agent."""
    return Workload.each("issue", "alpha", workers=workers)


def workloads(workers: int) -> SearchStrategy[Workload]:
    """Return a strategy: up to three clients with up to two calls each, for either agent, at any worker."""
    from hypothesis import strategies as st

    from harness.strategies import workloads as drawn

    return drawn({"issue": st.tuples(st.sampled_from(["alpha", "beta"]))}, workers=workers, clients=3, calls=2)


SCENARIO = with_variants(
    Scenario(
        name="issue-token",
        story=__doc__,
        setup=lambda _: None,
        operations=OPERATIONS,
        workload=workload,
        workloads=workloads,
        invariants=(ONE_ACTIVE_TOKEN,),
        postconditions=(RETURNED_TOKENS_ARE_REAL, Check("TOKR one client gets the token", one_each), CLEAN_CONNECTIONS),
        must_happen=(OVERLAPPED, CONTENDED, Check("a client was refused", refused)),
        expected_errors=("ActiveTokenExists",),
        ordered=False,
    ),
    prepare,
    ("t01-check-then-insert", "t03-deferred-transaction", "t13-non-partial-unique"),
)
