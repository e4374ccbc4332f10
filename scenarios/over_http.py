"""Clients with time-outs and retries send the same request over HTTP, each attempt to any worker.

A request or its answer is lost, or a request is delivered twice. A worker is killed. The clock jumps past the client's
time-out, so that its retry arrives while the first attempt is still at work, or past the lease. There must be one agent in
the end, and every client that is answered must get that agent.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import httpx

import reference_impl
from harness.faults import Faults
from harness.scenario import Call, Check, Client, Scenario, Workload
from harness.values.history import History, Outcome
from reference_impl import faulty
from reference_impl.app import create_app
from reference_impl.client import AgentsClient, Reply
from reference_impl.service import OpenService
from reference_impl.settings import Settings, credential
from scenarios.oracles import one_owner
from scenarios.rules import CLEAN_CONNECTIONS, OVERLAPPED, UNIQUE_SLUGS, rows
from scenarios.service import Prepared

__all__ = ["ADD_AGENT_OVER_HTTP", "app_over"]

SECRET, TIMEOUT, LEASE = "manager's secret", 2.0, 5.0
_REQUEST = ("Alpha", "key")


@lru_cache
def app_over(db: Path, opens: OpenService) -> Any:
    """Return the application over the database *db*, made once per process; each execution starts it anew."""
    return create_app(Settings(db, (credential("caller", SECRET),), lease=LEASE, patience=1.0), opens)


async def add_agent(http: httpx.AsyncClient, name: str, key: str) -> Reply:
    """Add an agent by the service's own client, with up to 3 attempts."""
    return await AgentsClient(http, SECRET, attempts=3, timeout=TIMEOUT).add_agent(name, key=key)


async def add_agent_patiently(http: httpx.AsyncClient, name: str, key: str) -> Reply:
    """Add an agent by the service's own client, with up to 9 attempts, which take longer than a lease."""
    return await AgentsClient(http, SECRET, attempts=9, timeout=TIMEOUT).add_agent(name, key=key)


def _told(value: Any) -> dict[str, Any]:
    return dict(value)


def _reply(value: Any) -> tuple[int, Any]:
    return value["status"], value["body"]


def one_answer(history: History, db: Path) -> None:
    """Check SAME and REAL: every success of one request has the same body, and its agent is in the database."""
    first: dict[str, Any] = {}
    for outcome in _answered(history):
        status, body = _reply(outcome.value)
        if status != 201:
            continue
        there = rows(db, "SELECT slug, name FROM agents WHERE id = ?", body["id"])
        assert there == [(body["slug"], body["name"])], f"{outcome.client} was told of {body}, but there is {there}"
        told = first.setdefault(repr(outcome.arguments), body)
        assert told == body, f"one key was answered with {told} and with {body}"


def _answered(history: History) -> list[Outcome]:
    return [outcome for outcome in history.outcomes() if outcome.ok]


def one_agent(history: History, db: Path) -> None:
    """Check ONCE: each requested name has at most one agent, however often it was requested."""
    for name in {str(outcome.arguments[0]) for outcome in history.outcomes()}:
        found = rows(db, "SELECT slug FROM agents WHERE name = ?", name)
        assert len(found) <= 1, f"one key made {len(found)} agents: {[slug for (slug,) in found]}"


def no_name_twice(db: Path) -> None:
    """Check ONCE: each name is requested under one key, so it has at most one agent."""
    found = rows(db, "SELECT name, count(*) FROM agents GROUP BY name HAVING count(*) > 1")
    assert not found, f"one key made {found[0][1]} agents called {found[0][0]!r}"


def documented(history: History, _: Path) -> None:
    """Check CLEAN: clients get only documented answers: success, in progress, unavailable, or none in time."""
    for outcome in _answered(history):
        status, body = _reply(outcome.value)
        assert status in (0, 201, 409, 503), f"{outcome.client} was answered {status}: {body}"


def probe_succeeds(history: History, _: Path) -> None:
    """Check LIVE: the probe, a fresh retry at the end, succeeds."""
    for outcome in _answered(history):
        if outcome.client == "probe":
            status, body = _reply(outcome.value)
            assert status == 201, f"a fresh retry was answered {status}: {body}"


def _retried(history: History, _: Any) -> bool:
    return any(outcome.ok and _told(outcome.value)["attempts"] > 1 for outcome in history.outcomes("add_agent"))


def _replayed(history: History, _: Any) -> bool:
    return any(outcome.ok and _told(outcome.value)["replayed"] for outcome in history.outcomes())


def _workload(workers: int) -> Workload:
    return Workload((Client((Call("add_agent", _REQUEST),)),) * 2, workers)


def _turn(number: int) -> Workload:
    return Workload((Client((Call("add_agent", (f"Agent {number}", f"key {number}")),)),) * 2)


async def prepare(_: object, __: Path) -> None:
    """Begin with no agents."""


def _over(implementation: Any, variant: str = "") -> Scenario:
    return Scenario(
        name="add-agent-over-http",
        variant=variant,
        story=__doc__ or "",
        setup=Prepared(implementation, prepare),
        app=partial(app_over, opens=implementation.open_service),
        operations={"add_agent": add_agent, "add_agent_patiently": add_agent_patiently},
        workload=_workload,
        probe=lambda workload: [Call("add_agent_patiently", workload.clients[0].calls[0].arguments)],
        turns=_turn,
        invariants=(Check("ONCE one effect per key", no_name_twice), UNIQUE_SLUGS),
        transitions=(one_owner(),),
        postconditions=(
            Check("ONCE one agent per key", one_agent),
            Check("CLEAN documented answers only", documented),
            Check("SAME everybody is told of the one agent", one_answer),
            Check("LIVE a fresh retry succeeds", probe_succeeds),
            CLEAN_CONNECTIONS,
        ),
        must_happen=(OVERLAPPED, Check("a client tried again", _retried), Check("an answer was replayed", _replayed)),
        ordered=False,
        faults=Faults(kill=True, lose=True, duplicate=True, jumps=(TIMEOUT, LEASE), most=1),
    )


_VARIANTS = ("r01-get-then-set", "r24-two-transactions")
ADD_AGENT_OVER_HTTP = replace(
    _over(reference_impl), variants={name: _over(faulty.load(name), name) for name in _VARIANTS}
)
