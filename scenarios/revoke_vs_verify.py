"""One client revokes a token while others authenticate with it at other workers.

A worker that remembers a token that it has verified goes on accepting it. However the calls overlap, no verification may
succeed that begins after the revocation was acknowledged, and none may fail that ends before the revocation begins.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from harness.scenario import Call, Check, Client, Scenario, Workload
from harness.values.history import History
from reference_impl.service import Service
from scenarios.rules import CLEAN_CONNECTIONS, OVERLAPPED
from scenarios.service import OPERATIONS, with_variants

__all__ = ["SCENARIO"]

TOKEN = "t0"
SECRET = "t0.known-to-the-clients"


async def prepare(service: Service, _: Path) -> None:
    """Add the agent, and a token with a secret that the clients know."""
    agent = await service.agents.add("Alpha", caller="setup", key="alpha")
    async with service.database.transaction() as connection:
        await connection.execute(
            "INSERT INTO tokens (id, agent_id, secret_hash, issued_at) VALUES (?, ?, ?, 0)",
            (TOKEN, agent.id, hashlib.sha256(SECRET.encode()).hexdigest()),
        )


def refused_once_revoked(history: History, _: Path) -> None:
    """Check that a verification fails if it began after the acknowledged revocation, and succeeds if it ended before it."""
    (revocation,) = history.outcomes("revoke")
    for outcome in history.outcomes("verify"):
        if revocation.ended is not None and outcome.invoked > revocation.ended:
            assert outcome.value is None, f"{outcome.client} authenticated after the revocation was acknowledged"
        if outcome.ended is not None and outcome.ended < revocation.invoked:
            assert outcome.value == "alpha", f"{outcome.client} was refused before anybody asked to revoke"


def workload(workers: int) -> Workload:
    """Return one client that revokes at worker 0, and one at each other worker that verifies twice."""
    verifying = tuple(Client((Call("verify", (SECRET,), worker),) * 2) for worker in range(1, max(2, workers)))
    return Workload((Client((Call("revoke", ("alpha", TOKEN), 0),)), *verifying), max(2, workers))


SCENARIO = with_variants(
    Scenario(
        name="revoke-vs-verify",
        story=__doc__,
        setup=lambda _: None,
        operations=OPERATIONS,
        workload=workload,
        postconditions=(
            Check("no token works once its revocation is acknowledged", refused_once_revoked),
            CLEAN_CONNECTIONS,
        ),
        must_happen=(
            OVERLAPPED,
            Check("a verification succeeded", lambda history, _: any(o.value for o in history.outcomes("verify"))),
            Check(
                "a verification was refused",
                lambda history, _: any(o.ok and o.value is None for o in history.outcomes("verify")),
            ),
        ),
    ),
    prepare,
    ("t21-remembers-verified",),
)
