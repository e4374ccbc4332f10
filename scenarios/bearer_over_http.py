"""Agents call over HTTP with their tokens while a manager revokes one: only valid tokens are accepted.

In every interleaving and at every worker, four kinds of token are refused: a made-up one, an agent's token where a
manager's secret is needed, another agent's token, and a revoked one. A token that nobody has asked to revoke is accepted.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx

import reference_impl
from harness.scenario import Call, Check, Client, Scenario, Workload
from harness.values.history import History
from reference_impl import faulty
from reference_impl.client import AgentsClient
from reference_impl.service import Service
from scenarios.over_http import SECRET, TIMEOUT, app_over
from scenarios.rules import CLEAN_CONNECTIONS, OVERLAPPED, rows
from scenarios.service import Prepared

__all__ = ["BEARERS_OVER_HTTP"]

_ALPHA, _BETA, _MADE_UP = "t0.alpha's secret", "t1.beta's secret", "t0.guessed"


async def me(http: httpx.AsyncClient, secret: str) -> int:
    """Call ``/api/me`` and return the status; assert that a success names the agent that the secret belongs to."""
    reply = await AgentsClient(http, secret, attempts=3, timeout=TIMEOUT).whoami()
    agent = {_ALPHA: "alpha", _BETA: "beta"}.get(secret)
    assert reply.status != 200 or reply.body == {"agent": agent}, f"{secret!r} was taken for {reply.body}"
    return reply.status


async def revoke(http: httpx.AsyncClient, agent: str, token: str, secret: str) -> int:
    """Revoke *token* of *agent*, authenticated by *secret*, and return the status."""
    answer = await http.request(
        "DELETE",
        f"/api/agents/{agent}/token",
        json={"token_id": token},
        headers={"Authorization": f"Bearer {secret}"},
        timeout=TIMEOUT,
    )
    return answer.status_code


async def prepare(service: Service, _: Path) -> None:
    """Add two agents, with tokens that have secrets known to the clients."""
    for token, name, secret in (("t0", "Alpha", _ALPHA), ("t1", "Beta", _BETA)):
        agent = await service.agents.add(name, caller="setup", key=name)
        async with service.database.transaction() as connection:
            await connection.execute(
                "INSERT INTO tokens (id, agent_id, secret_hash, issued_at) VALUES (?, ?, ?, 0)",
                (token, agent.id, hashlib.sha256(secret.encode()).hexdigest()),
            )


_REVOKE, _ALPHA_CALLS = Call("revoke", ("alpha", "t0", SECRET)), Call("me", (_ALPHA,))
_BESIDE: dict[str, tuple[Call, ...]] = {
    "revoked": (_ALPHA_CALLS,),
    "made-up": (Call("me", (_MADE_UP,)),),
    "unaffected": (Call("me", (_BETA,)),),
    "another": (Call("revoke", ("alpha", "t1", SECRET)),),
    "no-manager": (Call("revoke", ("alpha", "t0", _BETA)),),
}
"""What is called while alpha's token is revoked."""


def _workload(workers: int, beside: str) -> Workload:
    return Workload((Client((_REVOKE, _ALPHA_CALLS)), Client(_BESIDE[beside])), workers)


def refused(history: History, _: Path) -> None:
    """Check AUTH: alpha's token is refused once its revocation was acknowledged, and accepted before it was requested."""
    (revocation,) = (o for o in history.outcomes("revoke") if o.arguments == ("alpha", "t0", SECRET))
    for outcome in history.outcomes("me"):
        if outcome.arguments != (_ALPHA,) or not outcome.ok:
            continue
        if revocation.ok and revocation.ended is not None and outcome.invoked > revocation.ended:
            assert outcome.value == 401, f"{outcome.client} came in after the revocation was acknowledged"
        if outcome.ended is not None and outcome.ended < revocation.invoked:
            assert outcome.value == 200, f"{outcome.client} was refused before anybody asked to revoke"


_EXPECTED: dict[tuple[str, tuple[Any, ...]], int] = {
    ("revoke", ("alpha", "t0", SECRET)): 204,
    ("revoke", ("alpha", "t1", SECRET)): 409,
    ("revoke", ("alpha", "t0", _BETA)): 401,
    ("me", (_MADE_UP,)): 401,
    ("me", (_BETA,)): 200,
}


def told(history: History, _: Path) -> None:
    """Check AUTH: made-up tokens, another agent's token and an agent's in place of a manager's are refused; others work."""
    for outcome in history.outcomes():
        wanted = _EXPECTED.get((outcome.operation, outcome.arguments))
        assert wanted in (None, outcome.value) or not outcome.ok, (
            f"{outcome.client}: {outcome.operation}{outcome.arguments} was answered {outcome.value}, not {wanted}"
        )


def beta_keeps_hers(db: Path) -> None:
    """Check AUTH: a refused request writes nothing, so beta's token is still active."""
    assert rows(db, "SELECT 1 FROM tokens WHERE id = 't1' AND revoked_at IS NULL"), "beta's token was revoked"


def _was_told(status: int) -> Check:
    def holds(history: History, _: object) -> bool:
        return any(outcome.value == status for outcome in history.outcomes("me") if outcome.arguments == (_ALPHA,))

    return Check(f"alpha was told {status}", holds)


def _over(beside: str, implementation: Any, variant: str = "") -> Scenario:
    return Scenario(
        name=f"bearer-{beside}-over-http",
        variant=variant,
        story=__doc__ or "",
        setup=Prepared(implementation, prepare),
        app=partial(app_over, opens=implementation.open_service),
        operations={"me": me, "revoke": revoke},
        workload=partial(_workload, beside=beside),
        invariants=(Check("AUTH beta keeps her token", beta_keeps_hers),),
        postconditions=(
            Check("AUTH no token works once its revocation is acknowledged", refused),
            Check("AUTH who may not come in is refused", told),
            CLEAN_CONNECTIONS,
        ),
        must_happen=(OVERLAPPED, _was_told(401), *((_was_told(200),) if beside == "revoked" else ())),
    )


_REMEMBERS = "t21-remembers-verified"
BEARERS_OVER_HTTP = (
    replace(
        _over("revoked", reference_impl),
        variants={_REMEMBERS: _over("revoked", faulty.load(_REMEMBERS), _REMEMBERS)},
    ),
    *(_over(beside, reference_impl) for beside in ("made-up", "unaffected", "another", "no-manager")),
)
