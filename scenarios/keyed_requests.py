"""Two clients send the same request under one key to two workers, with and without injected faults.

A worker is killed and another takes its place. A call is cancelled before or after the event that it waits for. A statement
meets a locked database, a full disk or a failing disk. The clock jumps past the lease. In every case there must be at most
one agent, every client that succeeds must get that agent, and a retry after all other calls must be answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.faults import Faults
from harness.scenario import Call, Check, Client, Scenario, Workload
from harness.values.history import History, Step
from reference_impl.service import Service
from scenarios.oracles import (
    DOCUMENTED,
    answered,
    bound_to_request,
    bounded_store,
    live,
    once,
    one_owner,
    prompt,
    real,
    replayed,
    retained,
    same,
)
from scenarios.rules import CLEAN_CONNECTIONS, OVERLAPPED, UNIQUE_SLUGS, rows
from scenarios.service import OPERATIONS, with_variants

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["ALL"]

LEASE = 5.0
_REQUEST = ("Alpha", "caller", "key")
_OTHER_REQUEST = ("Beta", "caller", "key")
_TAKEN = ("SlugTaken",)


async def prepare(_: Service, __: Path) -> None:
    """Begin with no agents."""


async def prepare_taken(service: Service, _: Path) -> None:
    """Begin with an agent that already has the slug."""
    await service.agents.add("Alpha", caller="setup", key="setup")


def _identity(value: Any) -> object:
    return value["agent"]["id"] if isinstance(value, dict) and value.get("agent") else None


def _taken_over(db: Path) -> bool:
    return any(generation > 1 for (generation,) in rows(db, "SELECT generation FROM reservations"))


def _waited(_: History, steps: Sequence[Step]) -> bool:
    return any(step.kind == "timer" or "SELECT fingerprint, state" in step.text for step in steps)


def _each(*requests: tuple[str, ...], tasks: bool = False) -> Callable[[int], Workload]:
    """Return a workload of one client per request, each at the next worker, or with *tasks* all at worker 0."""

    def workload(workers: int) -> Workload:
        calls = (Call("create", request, 0 if tasks else number % workers) for number, request in enumerate(requests))
        return Workload(tuple(Client((call,)) for call in calls), workers)

    return workload


def _drawn(*requests: tuple[str, ...]) -> Callable[[int], SearchStrategy[Workload]]:
    """Return a strategy for workloads: up to three clients that send up to two of *requests* each, to any worker."""

    def workloads(workers: int) -> SearchStrategy[Workload]:
        from hypothesis import strategies as st

        from harness.strategies import workloads as drawn

        return drawn({"create": st.sampled_from(requests)}, workers=workers, clients=3, calls=2)

    return workloads


_SAME, _REAL = same("create", _identity), real("create", _identity, "SELECT 1 FROM agents WHERE id = ?")
_WAITED, _REPLAYED = Check("a request waited or looked", _waited), Check("an answer was replayed", replayed)
_TAKEN_OVER = Check("a reservation was taken over", _taken_over)

_KEYED = Scenario(
    name="keyed",
    story=__doc__ or "",
    setup=lambda _: None,
    operations=OPERATIONS,
    workload=_each(_REQUEST, _REQUEST),
    workloads=_drawn(_REQUEST),
    probe=lambda _: [Call("create", _REQUEST)],
    invariants=(once("SELECT slug FROM agents"), UNIQUE_SLUGS),
    transitions=(one_owner(),),
    postconditions=(_SAME, _REAL, live(), CLEAN_CONNECTIONS),
    must_happen=(OVERLAPPED, _WAITED, _REPLAYED),
    expected_errors=DOCUMENTED,
    ordered=False,
)


def _keyed(name: str, variants: str = "", options: dict[str, Any] | None = None, **fields: Any) -> Scenario:
    start = fields.pop("start", prepare)
    scenario = replace(_KEYED, name=f"keyed-{name}", **fields)
    return with_variants(scenario, start, tuple(variants.split()), **{"lease": LEASE, **(options or {})})


_WITH_TAKE_OVER: dict[str, Any] = {"must_happen": (*_KEYED.must_happen, _TAKEN_OVER)}
_WITH_PROMPT: dict[str, Any] = {"postconditions": (*_KEYED.postconditions, prompt(LEASE / 2)), "delays": 0}
"""Without delays, for how long a call waits is measured: a client whose process is held up is late, whatever it waits for."""
_ALL_ANSWERED: dict[str, Any] = {"postconditions": (*_KEYED.postconditions, answered())}

_SHORT = {"lease": 0.3, "patience": 0.5}
"""Long enough for a waiter to see a lease pass, and no longer: each of its looks is one more place for a kill."""

PLAIN = _keyed(
    "plain",
    "r10-no-deadline-is-orphan r17-fingerprint-after-change r39-event-across-workers r42-polls-in-transaction",
    **_ALL_ANSWERED,
)
TASKS = _keyed(
    "tasks", "r35-event-before-result r36-lost-wake-up", workload=_each(_REQUEST, _REQUEST, tasks=True), **_ALL_ANSWERED
)
CRASHES = _keyed(
    "crashes",
    "r06-never-expires r07-retention-as-lease r24-two-transactions r25-completion-before-effect",
    _SHORT,
    faults=Faults(kill=True, most=2),
    **_WITH_TAKE_OVER,
)
CANCELLED = _keyed(
    "cancelled",
    "r21-cancel-leaves-reservation r26-cancelled-before-set",
    faults=Faults(cancel=True, most=1),
    **_WITH_TAKE_OVER,
    **_WITH_PROMPT,
)
ERRORS = _keyed(
    "errors",
    "r22-release-resolves-with-nothing r44-transient-error-stored",
    faults=Faults(errors=("busy", "full", "io"), most=1),
    **_WITH_TAKE_OVER,
    **_WITH_PROMPT,
)
LEASE_PASSES = _keyed(
    "lease",
    "r08-no-fence r27-unfenced-set r30-blind-heartbeat",
    faults=Faults(jumps=(LEASE + 1,), most=1),
    **_WITH_TAKE_OVER,
)
LATE_RELEASE = _keyed(
    "late-release",
    "r28-unfenced-release",
    faults=Faults(jumps=(LEASE + 1,), cancel=True, most=2),
    **_WITH_TAKE_OVER,
)
ANYTHING = _keyed(
    "anything",
    options=_SHORT,
    faults=Faults(kill=True, cancel=True, errors=("busy", "full", "io"), jumps=(LEASE + 1,), most=1),
    **_WITH_TAKE_OVER,
)
THREE = _keyed(
    "three",
    "r11-stale-take-over",
    _SHORT,
    workload=_each(_REQUEST, _REQUEST, _REQUEST),
    workers=3,
    faults=Faults(kill=True, most=1),
    **_WITH_TAKE_OVER,
)
TAKEN = _keyed(
    "taken",
    "r19-early-return-leaves-reservation r43-status-lost",
    start=prepare_taken,
    invariants=(UNIQUE_SLUGS,),
    postconditions=(
        _SAME,
        _REAL,
        live(definite=_TAKEN),
        answered(definite=_TAKEN),
        prompt(LEASE / 2),
        CLEAN_CONNECTIONS,
    ),
    must_happen=(OVERLAPPED, _WAITED),
    delays=0,  # as _WITH_PROMPT
)
PAYLOADS = _keyed(
    "payloads",
    "r12-take-over-ignores-fingerprint",
    workload=_each(_REQUEST, _OTHER_REQUEST),
    probe=lambda _: [Call("pause", (LEASE + 1,)), Call("create", _OTHER_REQUEST), Call("create", _REQUEST)],
    workloads=_drawn(_REQUEST, _OTHER_REQUEST),
    transitions=(one_owner(), bound_to_request()),
    postconditions=(_REAL, live(definite=("KeyReused",)), CLEAN_CONNECTIONS),
    faults=Faults(kill=True, jumps=(LEASE + 1,), most=2),
    **_WITH_TAKE_OVER,
)
TIMEOUT = _keyed(
    "timeout",
    "r38-timed-out-waiter-works",
    {"patience": 2.0},
    faults=Faults(jumps=(2.5,), most=1),
    must_happen=(OVERLAPPED, _WAITED),
)


# An answer is remembered for as long as was promised, however long the work took: another has the write lock meanwhile.
# Shorter than an owner is silent, so that a lease extended meanwhile (PostgreSQL locks no other table) changes nothing.

RETENTION = LEASE / 5
RETAINED = _keyed(
    "retained",
    "r45-retention-from-reservation",
    {"retention": RETENTION},
    workload=lambda workers: Workload(
        (Client((Call("create", _REQUEST),)), Client((Call("hold", (3.0,), 1),))), workers
    ),
    workloads=None,
    invariants=(UNIQUE_SLUGS,),
    transitions=(one_owner(), retained(RETENTION)),
    postconditions=(_REAL, live(definite=_TAKEN), CLEAN_CONNECTIONS),
    must_happen=(OVERLAPPED, _REPLAYED),
    # A process held up for longer than the retention between reading the clock and committing keeps the answer for less, in any
    # implementation: the end of the retention is written before the commit that makes the answer seen.
    delays=0,
)
FULL = _keyed(
    "full",
    "r46-cap-drops-promised",
    {"capacity": 1},
    workload=_each(_REQUEST, ("Beta", "caller", "another key")),
    workloads=_drawn(_REQUEST, ("Beta", "caller", "another key")),
    invariants=(once("SELECT slug FROM agents WHERE name = 'Alpha'"), UNIQUE_SLUGS, bounded_store(1)),
    postconditions=(_SAME, _REAL, live(definite=("StoreFull",)), CLEAN_CONNECTIONS),
    must_happen=(
        OVERLAPPED,
        Check("the store was full", lambda history, _: any(e.error == "StoreFull" for e in history)),
    ),
)

ALL = (
    PLAIN,
    TASKS,
    CRASHES,
    CANCELLED,
    ERRORS,
    LEASE_PASSES,
    LATE_RELEASE,
    ANYTHING,
    THREE,
    TAKEN,
    PAYLOADS,
    TIMEOUT,
    RETAINED,
    FULL,
)
"""Keyed requests under everything."""
