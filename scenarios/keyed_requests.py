"""Two clients send the same request under one key to two workers, and all that can go wrong does.

A worker is killed and another takes its place; a call is cancelled before or after what it waited for has happened; a
statement meets a locked database, a full disk or a failing one; the clock jumps past the lease. Whatever happens there is at
most one agent, everybody is told of that one, and a retry when all is quiet is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.faults import Faults
from harness.history import History, Step
from harness.scenario import Call, Check, Scenario, Workload
from reference_impl.service import Service
from scenarios.oracles import DOCUMENTED, live, once, one_owner, prompt, real, replayed, same
from scenarios.rules import CLEAN_CONNECTIONS, OVERLAPPED, UNIQUE_SLUGS, rows
from scenarios.service import OPERATIONS, with_variants

__all__ = ["KEYED_CANCELLED", "KEYED_CRASHES", "KEYED_ERRORS", "KEYED_LEASE"]

LEASE = 5.0
_REQUEST = ("Alpha", "caller", "key")


async def prepare(_: Service, __: Path) -> None:
    """Begin with no agents."""


def _identity(value: Any) -> object:
    return value["agent"]["id"] if isinstance(value, dict) and value.get("agent") else None


def _taken_over(db: Path) -> bool:
    return any(generation > 1 for (generation,) in rows(db, "SELECT generation FROM reservations"))


def _waited(_: History, steps: Sequence[Step]) -> bool:
    """A request waited for the owner of its key."""
    return any(step.kind == "timer" or "SELECT fingerprint, state" in step.text for step in steps)


def workload(workers: int) -> Workload:
    """One client at each worker, all with the same key."""
    return Workload.each("create", *_REQUEST, workers=workers)


_KEYED = Scenario(
    name="keyed",
    story=__doc__,
    setup=lambda _: None,
    operations=OPERATIONS,
    workload=workload,
    probe=lambda _: [Call("create", _REQUEST)],
    invariants=(once("SELECT slug FROM agents"), UNIQUE_SLUGS),
    transitions=(one_owner(),),
    postconditions=(
        same("create", _identity),
        real("create", _identity, "SELECT 1 FROM agents WHERE id = ?"),
        live(),
        CLEAN_CONNECTIONS,
    ),
    must_happen=(OVERLAPPED, Check("a request waited", _waited), Check("an answer was replayed", replayed)),
    expected_errors=DOCUMENTED,
    ordered=False,
)
_TAKEN_OVER = Check("a reservation was taken over", _taken_over)


def _keyed(name: str, faults: Faults, variants: tuple[str, ...], **fields: Any) -> Scenario:
    scenario = replace(_KEYED, name=f"keyed-{name}", faults=faults, **fields)
    return with_variants(scenario, prepare, variants, lease=LEASE)


_TAKES_OVER = {"must_happen": (*_KEYED.must_happen, _TAKEN_OVER)}
_PROMPT = {"postconditions": (*_KEYED.postconditions, prompt(LEASE / 2))}

KEYED_CRASHES = _keyed("crashes", Faults(kill=True, most=2), (), **_TAKES_OVER)
KEYED_CANCELLED = _keyed("cancelled", Faults(cancel=True, most=1), (), **_TAKES_OVER, **_PROMPT)
KEYED_ERRORS = _keyed("errors", Faults(errors=("busy", "full", "io"), most=1), (), **_TAKES_OVER, **_PROMPT)
KEYED_LEASE = _keyed("lease", Faults(jumps=(LEASE + 1,), kill=True, cancel=True, most=2), (), **_TAKES_OVER)
