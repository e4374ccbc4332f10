"""Clients replace the token of one agent at the same time, each at another worker.

Each rotation revokes the active token and issues another. If that is not one transaction, another request can see the agent
without a token, or two rotations revoke the same token and both issue one. However they overlap, the agent must always have
exactly one active token, each client must get a token, and the last rotation's token must be the active one in the end.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.checks.operations import UNKNOWN
from harness.scenario import Check, Scenario, Workload
from harness.values.history import History
from reference_impl.service import Service
from scenarios.rules import (
    CLEAN_CONNECTIONS,
    CONTENDED,
    ONE_ACTIVE_TOKEN,
    OVERLAPPED,
    RETURNED_TOKENS_ARE_REAL,
    rows,
    tokens_linearizable,
)
from scenarios.service import OPERATIONS, with_variants

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["SCENARIO"]

ACTIVE = "SELECT id FROM tokens WHERE revoked_at IS NULL"


async def prepare(service: Service, _: Path) -> None:
    """Add the agent and issue its first token."""
    await service.agents.add("Alpha", caller="setup", key="alpha")
    await service.tokens.issue("alpha")


def never_none(db: Path) -> None:
    """Check TOKLAST: a rotation never leaves the agent without an active token."""
    assert rows(db, ACTIVE), "the agent has no active token"


def last_one_active(history: History, db: Path) -> None:
    """Check TOKLAST: the active token is one that a client got and that no later rotation replaced."""
    rotations = history.outcomes("rotate")
    active = {token for (token,) in rows(db, ACTIVE)}
    for outcome in rotations:
        token = outcome.value
        if not outcome.ok or not isinstance(token, dict) or token["id"] not in active:
            continue
        ended = outcome.ended if outcome.ended is not None else 0
        later = [other.client for other in rotations if other.ok and other.invoked > ended]
        assert not later, f"the token of {outcome.client} is active, though {later[0]} rotated after it had been told"
        return
    raise AssertionError("no client was given the token that is active")


def workload(workers: int) -> Workload:
    """Return one client for each worker, all for one agent."""
    return Workload.each("rotate", "alpha", workers=workers)


def workloads(workers: int) -> SearchStrategy[Workload]:
    """Return a strategy: up to three clients with up to two rotations each, at any worker."""
    from hypothesis import strategies as st

    from harness.strategies import workloads as drawn

    return drawn({"rotate": st.just(("alpha",))}, workers=workers, clients=3, calls=2)


SCENARIO = with_variants(
    Scenario(
        name="rotate-token",
        story=__doc__,
        setup=lambda _: None,
        operations=OPERATIONS,
        workload=workload,
        workloads=workloads,
        invariants=(ONE_ACTIVE_TOKEN, Check("TOKLAST a rotation never leaves none", never_none)),
        postconditions=(
            RETURNED_TOKENS_ARE_REAL,
            Check("TOKLAST the last rotation's token is active", last_one_active),
            tokens_linearizable(UNKNOWN),
            CLEAN_CONNECTIONS,
        ),
        must_happen=(OVERLAPPED, CONTENDED),
    ),
    prepare,
    ("t11-read-after-commit", "t12-two-transactions"),
)
