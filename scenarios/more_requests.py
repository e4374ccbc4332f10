"""Requests that differ: two endpoints under one key, one name under two keys, tokens and their delivery.

Each scenario has a bug of its own: where a call is cancelled, where two tasks share a worker, or where tokens are
committed in one order and delivered in another.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import reference_impl
from harness.faults import Faults
from harness.scenario import Call, Check, Client, Scenario, Workload, is_url
from harness.values.history import History
from reference_impl import faulty
from reference_impl.containers import RecordedContainers
from reference_impl.service import Service
from scenarios.oracles import DOCUMENTED, answered, live
from scenarios.rules import (
    CLEAN_CONNECTIONS,
    ONE_ACTIVE_TOKEN,
    OVERLAPPED,
    RETURNED_TOKENS_ARE_REAL,
    UNIQUE_SLUGS,
    rows,
)
from scenarios.service import OPERATIONS, Prepared, close, with_variants

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["ALL"]

_TOKEN_ERRORS = (*DOCUMENTED, "ActiveTokenExists", "NoActiveToken")


async def nothing(_: Service, __: Path) -> None:
    """Begin with no agents."""


async def with_agent(service: Service, _: Path) -> None:
    """Begin with an agent."""
    await service.agents.add("Alpha", caller="setup", key="alpha")


async def with_token(service: Service, db: Path) -> None:
    """Begin with an agent that has a token."""
    await with_agent(service, db)
    await service.tokens.issue("alpha")


def _clients(*calls: Call) -> Callable[[int], Workload]:
    """Return a workload with one client for each of *calls*."""
    return lambda workers: Workload(tuple(Client((call,)) for call in calls), workers)


def _drawn(*calls: Call) -> Callable[[int], SearchStrategy[Workload]]:
    """Return a strategy: up to three clients with up to two of *calls* each, which are of one operation, at any worker."""

    def workloads(workers: int) -> SearchStrategy[Workload]:
        from hypothesis import strategies as st

        from harness.strategies import workloads as drawn

        arguments = st.sampled_from([call.arguments for call in calls])
        return drawn({calls[0].operation: arguments}, workers=workers, clients=3, calls=2)

    return workloads


def acknowledged(history: History, db: Path) -> None:
    """Check CFG: every agent that a client got is in the database."""
    there = [{"id": row[0], "slug": row[1], "name": row[2]} for row in rows(db, "SELECT id, slug, name FROM agents")]
    for outcome in history.outcomes("create"):
        value: Any = outcome.value
        if outcome.ok:
            assert value["agent"] in there, f"{outcome.client} was told of {value['agent']}, but there is {there}"


_BASE = Scenario(
    name="",
    story=__doc__ or "",
    setup=lambda _: None,
    operations=OPERATIONS,
    workload=lambda workers: Workload((), workers),
    postconditions=(CLEAN_CONNECTIONS,),
    must_happen=(OVERLAPPED,),
    expected_errors=_TOKEN_ERRORS,
    ordered=False,
)

DIFFERENT_NAMES = with_variants(
    replace(
        _BASE,
        name="add-different-agents",
        workload=_clients(Call("create", ("Alpha", "c", "k1")), Call("create", ("Beta", "c", "k2"), 1)),
        workloads=_drawn(Call("create", ("Alpha", "c", "k1")), Call("create", ("Beta", "c", "k2"), 1)),
        invariants=(UNIQUE_SLUGS,),
        postconditions=(Check("CFG every acknowledged agent is there", acknowledged), answered(), CLEAN_CONNECTIONS),
    ),
    nothing,
    ("c01-whole-file-rewrite", "c02-fixed-temporary-name"),
)
SAME_NAME = with_variants(
    replace(
        _BASE,
        name="add-same-name",
        workload=_clients(Call("create", ("Alpha", "c", "k1")), Call("create", ("Alpha", "c", "k2"), 1)),
        workloads=_drawn(Call("create", ("Alpha", "c", "k1")), Call("create", ("Alpha", "c", "k2"), 1)),
        invariants=(UNIQUE_SLUGS,),
        postconditions=(Check("CFG every acknowledged agent is there", acknowledged), CLEAN_CONNECTIONS),
    ),
    nothing,
    ("c03-check-then-append",),
)
ISSUE_CANCELLED = with_variants(
    replace(
        _BASE,
        name="issue-token-cancelled",
        workload=_clients(Call("issue", ("alpha",)), Call("issue", ("alpha",), 1)),
        workloads=_drawn(Call("issue", ("alpha",))),
        probe=lambda _: [Call("issue", ("alpha",))],
        invariants=(ONE_ACTIVE_TOKEN,),
        postconditions=(RETURNED_TOKENS_ARE_REAL, live(definite=("ActiveTokenExists",)), CLEAN_CONNECTIONS),
        faults=Faults(cancel=True, most=1),
    ),
    with_agent,
    ("t07-cancel-strands-lock", "t08-begin-outside-guard", "t20-blind-retry"),
)
ISSUE_TWICE = with_variants(
    replace(
        _BASE,
        name="issue-token-twice",
        workload=_clients(Call("issue", ("alpha",)), Call("issue", ("alpha",), 1)),
        workloads=_drawn(Call("issue", ("alpha",))),
        invariants=(ONE_ACTIVE_TOKEN,),
        postconditions=(RETURNED_TOKENS_ARE_REAL, CLEAN_CONNECTIONS),
    ),
    with_agent,
    ("t14-insert-or-ignore",),
)


# Where agents have containers


@dataclass(frozen=True)
class _WithContainers(Prepared):
    """A setup that also makes the tables of the recorded containers."""

    async def __call__(self, db: Path) -> None:
        """Make the tables of the containers and of the service."""
        await RecordedContainers.initialise(_beside(db))
        await super().__call__(db)


@dataclass(frozen=True)
class _Opened:
    """Holds a service and the containers that it was opened with."""

    service: Service
    containers: RecordedContainers


def _beside(db: Path) -> Path:
    """Return the database that records containers: a file beside *db*, or *db* itself if it is a server's."""
    return db if is_url(str(db)) else db.with_name("containers.sqlite")


async def _open(db: Path, implementation: Any) -> _Opened:
    containers = RecordedContainers(_beside(db))
    return _Opened(await implementation.open_service(db, containers=containers), containers)


async def _close(opened: _Opened) -> None:
    await close(opened.service)
    await opened.containers.close()


async def create(opened: _Opened, name: str, caller: str, key: str) -> object:
    """Add an agent under an idempotency key."""
    return await opened.service.agents.create(name, caller=caller, key=key)


async def deploy(opened: _Opened, name: str, caller: str, key: str) -> object:
    """Deploy an agent under an idempotency key."""
    assert opened.service.deployments is not None
    return await opened.service.deployments.deploy(name, "image", caller=caller, key=key)


async def rotate(opened: _Opened, agent: str) -> object:
    """Replace the agent's token, and deliver it."""
    return await opened.service.tokens.rotate(agent)


def _with_containers(scenario: Scenario, prepare: Callable[[Service, Path], Awaitable[None]], *names: str) -> Scenario:
    def over(implementation: Any, name: str) -> Scenario:
        return replace(
            scenario,
            variant=name,
            setup=_WithContainers(implementation, prepare),
            open=partial(_open, implementation=implementation),
            close=_close,
            operations={"create": create, "deploy": deploy, "rotate": rotate},
        )

    return replace(over(reference_impl, ""), variants={name: over(faulty.load(name), name) for name in names})


def one_container(_: History, db: Path) -> None:
    """Check ONCE and REAL: each deployed agent has exactly one container, and there is no other container."""
    started = rows(_beside(db), "SELECT agent_id, id FROM containers")
    recorded = rows(db, "SELECT id, container FROM agents WHERE image IS NOT NULL")
    assert sorted(started) == sorted(recorded), f"containers {started}, but agents {recorded}"
    left = rows(db, "SELECT key FROM deployments")
    assert not left, f"a deployment was begun and never completed: {left}"


def told_their_own(history: History, _: Path) -> None:
    """Check SCOPE: the same text at two endpoints is two keys, so every client gets its own agent."""
    for outcome in history.outcomes():
        said = f"{outcome.client} was told {outcome.error or outcome.value}"
        value: Any = outcome.value
        assert outcome.ok, f"{said} about {outcome.arguments[0]}"
        assert value["agent"]["name"] == outcome.arguments[0], f"{said} about {outcome.arguments[0]}"


def delivered(_: History, db: Path) -> None:
    """Check TOKLAST: the container has the active token."""
    active = rows(db, "SELECT tokens.id FROM tokens WHERE revoked_at IS NULL")
    given = rows(_beside(db), "SELECT token_id FROM delivered")
    assert given == active, f"the container was given {given}, but {active} is active"


TWO_ENDPOINTS = _with_containers(
    replace(
        _BASE,
        name="add-and-deploy",
        workload=_clients(Call("create", ("Alpha", "c", "key")), Call("deploy", ("Beta", "c", "key"), 1)),
        postconditions=(
            Check("SCOPE an answer to each request", told_their_own),
            Check("ONCE one container", one_container),
            CLEAN_CONNECTIONS,
        ),
    ),
    nothing,
    "r14-not-scoped-by-endpoint",
)
_DEPLOY = Call("deploy", ("Beta", "c", "key"))
DEPLOY_CRASHES = _with_containers(
    replace(
        _BASE,
        name="deploy-crashes",
        workload=_clients(_DEPLOY),
        workers=1,
        probe=lambda _: [_DEPLOY, _DEPLOY, _DEPLOY, _DEPLOY, _DEPLOY],
        postconditions=(Check("ONCE one container", one_container), CLEAN_CONNECTIONS),
        must_happen=(Check("a container was started", lambda db: bool(rows(_beside(db), "SELECT 1 FROM containers"))),),
        faults=Faults(kill=True, cancel=True, errors=("busy", "full", "io"), most=1),
    ),
    nothing,
)
ROTATE_DELIVERED = _with_containers(
    replace(
        _BASE,
        name="rotate-delivered",
        workload=_clients(Call("rotate", ("alpha",)), Call("rotate", ("alpha",), 1)),
        workloads=_drawn(Call("rotate", ("alpha",))),
        postconditions=(Check("TOKLAST the container has the active token", delivered), CLEAN_CONNECTIONS),
    ),
    with_token,
    "t17-delivery-order",
)

ALL = (DIFFERENT_NAMES, SAME_NAME, ISSUE_CANCELLED, ISSUE_TWICE, TWO_ENDPOINTS, DEPLOY_CRASHES, ROTATE_DELIVERED)
"""What else can go wrong."""
