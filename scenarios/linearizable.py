"""Tokens of one agent, and requests under one key, checked for linearizability against a sequential specification.

Every mix of calls must look as if a single worker had done them one at a time, each at an instant between its invocation
and its answer. A call that has no answer because its worker was killed may have happened at any instant after its
invocation, or never.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.faults import Faults
from harness.scenario import Call, Check, Client, Scenario, Workload
from harness.values.history import History
from reference_impl.service import Service
from scenarios.oracles import DOCUMENTED
from scenarios.rules import CLEAN_CONNECTIONS, ONE_ACTIVE_TOKEN, OVERLAPPED, keys_linearizable, tokens_linearizable
from scenarios.service import OPERATIONS, with_variants

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["ALL"]

_ASK = Call("get_active", ("alpha",))
_ADD = Call("create", ("Alpha", "caller", "key"))
_OTHER = Call("create", ("Beta", "caller", "key"))


async def with_agent(service: Service, _: Path) -> None:
    """Begin with an agent that has no token."""
    await service.agents.add("Alpha", caller="setup", key="alpha")


async def nothing(_: Service, __: Path) -> None:
    """Begin with no agents."""


def _at(worker: int, *calls: Call) -> Client:
    return Client(tuple(replace(call, worker=worker) for call in calls))


def _tokens(workers: int) -> Workload:
    """Return two clients: one issues a token and then reads the active one, the other rotates it and then reads it."""
    issue, rotate = Call("issue", ("alpha",)), Call("rotate", ("alpha",))
    return Workload((_at(0, issue, _ASK), _at(min(1, workers - 1), rotate, _ASK)), workers)


def _keys(workers: int) -> Workload:
    """Return two clients: one adds an agent twice under one key, the other uses the key for another name."""
    return Workload((_at(0, _ADD, _ADD), _at(min(1, workers - 1), _OTHER)), workers)


def _drawn(*calls: Call) -> Callable[[int], SearchStrategy[Workload]]:
    def workloads(workers: int) -> SearchStrategy[Workload]:
        from hypothesis import strategies as st

        from harness.strategies import workloads as drawn

        names = {
            call.operation: st.sampled_from([c.arguments for c in calls if c.operation == call.operation])
            for call in calls
        }
        return drawn(names, workers=workers, clients=3, calls=2)

    return workloads


def _answered_twice(history: History, _: object) -> bool:
    return sum(outcome.ok for outcome in history.outcomes()) > 1


_BASE = Scenario(
    name="",
    story=__doc__,
    setup=lambda _: None,
    operations=OPERATIONS,
    workload=_tokens,
    must_happen=(OVERLAPPED, Check("two calls were answered", _answered_twice)),
    faults=Faults(kill=True, most=1),
)
TOKENS = with_variants(
    replace(
        _BASE,
        name="tokens-linearizable",
        workloads=_drawn(Call("issue", ("alpha",)), Call("rotate", ("alpha",)), _ASK),
        invariants=(ONE_ACTIVE_TOKEN,),
        postconditions=(tokens_linearizable(None), CLEAN_CONNECTIONS),
        expected_errors=(*DOCUMENTED, "ActiveTokenExists", "NoActiveToken"),
    ),
    with_agent,
    ("t12-two-transactions",),
)
KEYS = with_variants(
    replace(
        _BASE,
        name="keys-linearizable",
        workload=_keys,
        workloads=_drawn(_ADD, _OTHER),
        postconditions=(keys_linearizable(), CLEAN_CONNECTIONS),
        expected_errors=DOCUMENTED,
    ),
    nothing,
    ("r02-select-then-put", "r16-no-fingerprint"),
    lease=5.0,
    patience=6.0,
)

ALL = (TOKENS, KEYS)
"""Calls against a sequential specification."""
