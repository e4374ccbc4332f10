"""Clients with time-outs and retries send the same request over HTTP, to whichever worker it reaches.

A request or its answer is lost, or a request is delivered twice; a worker is killed; the clock jumps past the client's
time-out, so that its retry arrives while the first attempt is still at work, or past the lease. There is one agent in the
end, and every client that is answered is told of that one.
"""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import httpx

import reference_impl
from harness.faults import Faults
from harness.history import History
from harness.scenario import Call, Check, Client, Scenario, Workload
from reference_impl.app import create_app
from reference_impl.client import AgentsClient, Reply
from reference_impl.service import OpenService
from reference_impl.settings import Settings, credential
from scenarios.oracles import once, one_owner
from scenarios.rules import CLEAN_CONNECTIONS, OVERLAPPED, UNIQUE_SLUGS, rows
from scenarios.service import Prepared

__all__ = ["ADD_AGENT_OVER_HTTP", "app_over"]

SECRET, TIMEOUT, LEASE = "manager's secret", 2.0, 5.0
_REQUEST = ("Alpha", "key")


@lru_cache
def app_over(db: Path, opens: OpenService) -> Any:
    """Return the application over the database *db*: made once per process, started anew for each execution."""
    return create_app(Settings(db, (credential("caller", SECRET),), lease=LEASE, patience=1.0), opens)


async def add_agent(http: httpx.AsyncClient, name: str, key: str) -> Reply:
    """Add an agent, retrying as the service's own client does."""
    return await AgentsClient(http, SECRET, attempts=3, timeout=TIMEOUT).add_agent(name, key=key)


async def add_agent_patiently(http: httpx.AsyncClient, name: str, key: str) -> Reply:
    """Add an agent, retrying past any lease."""
    return await AgentsClient(http, SECRET, attempts=9, timeout=TIMEOUT).add_agent(name, key=key)


def _told(value: Any) -> dict[str, Any]:
    return dict(value)


def _reply(value: Any) -> tuple[int, Any]:
    return value["status"], value["body"]


def one_answer(history: History, db: Path) -> None:
    """SAME and REAL: whoever succeeds is told of the one agent that is there."""
    agents = [{"id": row[0], "slug": row[1], "name": row[2]} for row in rows(db, "SELECT id, slug, name FROM agents")]
    for outcome in history.outcomes():
        status, body = _reply(outcome.value)
        if status == 201:
            assert body in agents, f"{outcome.client} was told of {body}, but there is {agents}"


def documented(history: History, _: Path) -> None:
    """CLEAN: clients meet no answer that is not documented: success, in progress, unavailable, or none in time."""
    for outcome in history.outcomes():
        status, body = _reply(outcome.value)
        assert status in (0, 201, 409, 503), f"{outcome.client} was answered {status}: {body}"


def probe_succeeds(history: History, _: Path) -> None:
    """LIVE: when all is quiet a fresh retry succeeds."""
    for outcome in history.outcomes():
        if outcome.client == "probe":
            status, body = _reply(outcome.value)
            assert status == 201, f"a fresh retry was answered {status}: {body}"


def _retried(history: History, _: Any) -> bool:
    return any(outcome.ok and _told(outcome.value)["attempts"] > 1 for outcome in history.outcomes("add_agent"))


def _replayed(history: History, _: Any) -> bool:
    return any(outcome.ok and _told(outcome.value)["replayed"] for outcome in history.outcomes())


def _workload(workers: int, clients: int = 2) -> Workload:
    return Workload(tuple(Client((Call("add_agent", _REQUEST),)) for _ in range(clients)), workers)


async def prepare(_: object, __: Path) -> None:
    """Begin with no agents."""


def _over(name: str, implementation: Any, clients: int = 2, **fields: Any) -> Scenario:
    return Scenario(
        name=name,
        story=__doc__ or "",
        setup=Prepared(implementation, prepare),
        app=partial(app_over, opens=implementation.open_service),
        operations={"add_agent": add_agent, "add_agent_patiently": add_agent_patiently},
        workload=partial(_workload, clients=clients),
        probe=lambda _: [Call("add_agent_patiently", _REQUEST)],
        invariants=(once("SELECT slug FROM agents"), UNIQUE_SLUGS),
        transitions=(one_owner(),),
        postconditions=(
            Check("CLEAN documented answers only", documented),
            Check("SAME everybody is told of the one agent", one_answer),
            Check("LIVE a fresh retry succeeds", probe_succeeds),
            CLEAN_CONNECTIONS,
        ),
        must_happen=(OVERLAPPED, Check("a client tried again", _retried), Check("an answer was replayed", _replayed)),
        ordered=False,
        faults=Faults(kill=True, lose=True, duplicate=True, jumps=(TIMEOUT, LEASE), most=1),
        **fields,
    )


ADD_AGENT_OVER_HTTP = _over("add-agent-over-http", reference_impl)
