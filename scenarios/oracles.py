"""The oracles of keyed requests: the guarantees that hold for clients under kills, cancellations, errors and delays.

Each function returns a rule for the tables and operations that its arguments name. Its messages state the findings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.scenario import Change, Check
from harness.values.history import History, Outcome, Step
from scenarios.rules import rows

__all__ = [
    "DOCUMENTED",
    "answered",
    "bound_to_request",
    "bounded_store",
    "happened",
    "live",
    "once",
    "one_owner",
    "prompt",
    "real",
    "replayed",
    "retained",
    "same",
    "scoped",
]

DOCUMENTED = (
    "ContainerFailed",
    "DatabaseBusy",
    "KeyReused",
    "SlugTaken",
    "StillInProgress",
    "StorageFailed",
    "StoreFull",
)
"""The errors that a keyed request may end with."""

_PROBE = "probe"


def once(effects: str, what: str = "agents") -> Check:
    """Return the rule ONCE: *effects*, a query for the durable effects of one key, gives at most one row."""

    def holds(db: Path) -> None:
        found = rows(db, effects)
        assert len(found) <= 1, f"one key made {len(found)} {what}: {found}"

    return Check("ONCE one effect per key", holds)


def same(operation: str, identity: Callable[[Any], object], *, definite: Sequence[str] = ("SlugTaken",)) -> Check:
    """Return the rule SAME: all calls of *operation* with the same arguments get the same answer.

    *identity* returns the part of a result that must be the same. The errors *definite* are answers too; other errors are
    not compared.
    """

    def holds(history: History, _: Path) -> None:
        for group in _by_key(history.outcomes(operation)):
            named = [identity(outcome.value) for outcome in group if outcome.ok]
            told = {json.dumps(name) for name in named if name is not None}
            told |= {outcome.error for outcome in group if outcome.error in definite}
            assert len(told) <= 1, f"one key was answered with {' and '.join(sorted(told))}"

    return Check("SAME one answer per key", holds)


def real(operation: str, identity: Callable[[Any], object], exists: str) -> Check:
    """Return the rule REAL: the result of each success of *operation* exists.

    *identity* returns the identity of a result, and *exists* is a query for it.
    """

    def holds(history: History, db: Path) -> None:
        for outcome in history.outcomes(operation):
            if outcome.ok:
                named = identity(outcome.value)
                assert named is not None, f"{outcome.client} was answered {outcome.value!r}: success of nothing"
                assert rows(db, exists, named), f"{outcome.client} was told of {named!r}, which is not there"

    return Check("REAL success means an effect", holds)


def scoped(operation: str, answers: Callable[[Outcome], bool]) -> Check:
    """Return the rule SCOPE: no success of *operation* is for another request; *answers* returns whether an outcome fits."""

    def holds(history: History, _: Path) -> None:
        for outcome in history.outcomes(operation):
            assert not outcome.ok or answers(outcome), (
                f"{outcome.client} asked for {outcome.arguments} and got {outcome.value!r}"
            )

    return Check("SCOPE no answer to another request", holds)


def live(*, definite: Sequence[str] = ()) -> Check:
    """Return the rule LIVE: the probe, called at the end, gets a definite answer: success or one of the errors *definite*."""

    def holds(history: History, _: Path) -> None:
        for outcome in history.outcomes():
            if outcome.client == _PROBE and not outcome.ok:
                assert outcome.error in definite, f"a fresh retry was told {outcome.error}: {outcome.value}"

    return Check("LIVE a fresh retry is answered", holds)


def answered(*, definite: Sequence[str] = ()) -> Check:
    """Return the rule LIVE without faults: every request is answered by success or by one of the errors *definite*."""

    def holds(history: History, _: Path) -> None:
        for outcome in history.outcomes():
            said = f"{outcome.client} was told {outcome.error}: {outcome.value}"
            assert outcome.ok or outcome.error in definite, said

    return Check("LIVE every request is answered", holds)


def prompt(seconds: float) -> Check:
    """Return the rule PROMPT: every request is answered within *seconds*, without waiting for a lease to pass.

    It is not checked where the outcome of a call is unknown because its worker was killed: then a lease may have to pass.
    """

    def holds(history: History, _: Path) -> None:
        if any(event.kind == "info" and not event.error for event in history):
            return
        asked: dict[str, float] = {}
        for event in history:
            if event.kind == "invoke":
                asked[event.client] = event.now
            else:
                waited = event.now - asked[event.client]
                assert waited <= seconds, f"{event.client} waited for {waited:g} s though every owner had finished"

    return Check("PROMPT no waiting for who has finished", holds)


def one_owner() -> Check:
    """Return the rule OWNER: a key gets another owner only after the last one finished, released it or let its lease pass."""
    owners = "SELECT caller, endpoint, key, generation, state, lease_until FROM reservations"

    def holds(before: Path, after: Path, change: Change) -> None:
        then = {row[:3]: row[3:] for row in rows(before, owners)}
        task = change.lane.partition("/")[0]
        for row in rows(after, owners):
            key, (generation, state) = row[:3], row[3:5]
            name = "/".join(key)
            was = then.pop(key, (0, "", 0.0))
            owner = change.notes.get(name, "")
            if was[1] == "pending" and owner != task and (was[0], was[1]) != (generation, state):
                _nobody_lives(was, change.now, f"{key[2]!r} of {owner} is {state} {generation}")
            if state == "pending" and (was[0], was[1]) != (generation, state):
                change.notes[name] = task
        for key, was in then.items():
            owner = change.notes.get("/".join(key), "")
            if was[1] == "pending" and owner != task:
                _nobody_lives(was, change.now, f"{key[2]!r} of {owner} was dropped")

    return Check("OWNER one live owner per key", holds)


def _nobody_lives(was: tuple[Any, ...], now: float, what: str) -> None:
    """Assert that the lease of the record *was* had passed at *now*; a record without a deadline counts as unexpired."""
    generation, _, lease_until = was
    left = lease_until - now if lease_until else float("inf")
    assert left <= 0, f"by another hand, reservation {what}; its owner {generation} had {left:g} s left"


def retained(seconds: float) -> Check:
    """Return the rule ONCE for retention: a finished record stays for *seconds* from its completion."""

    def holds(before: Path, after: Path, change: Change) -> None:
        finished = "SELECT caller, endpoint, key, generation FROM reservations WHERE state = 'finished'"
        then, later = ({row[:3]: row[3] for row in rows(db, finished)} for db in (before, after))
        for key in later.keys() - then.keys():
            change.notes["finished " + "/".join(key)] = repr(change.now)
        for key in then.keys() - later.keys():
            kept = change.now - float(change.notes.get("finished " + "/".join(key), "0"))
            assert kept >= seconds - 1e-6, f"the answer of {key[2]!r} was kept for {kept:g} s of {seconds:g}"

    return Check("ONCE an answer is kept for its retention", holds)


def bound_to_request() -> Check:
    """Return the rule SCOPE for bindings: a key stays bound to the request that first used it, until its retention ends."""
    bindings = "SELECT caller, endpoint, key, fingerprint, coalesce(expires_at, 1e99) FROM reservations"

    def holds(before: Path, after: Path, change: Change) -> None:
        later = {row[:3]: row[3] for row in rows(after, bindings)}
        for *key, fingerprint, expires_at in rows(before, bindings):
            found = later.get(tuple(key), fingerprint)
            assert found == fingerprint or expires_at <= change.now, f"key {key[2]!r} passed to another request"

    return Check("SCOPE a key stays bound to its request", holds)


def bounded_store(most: int) -> Check:
    """Return the rule BOUND: the store never holds more than *most* keys."""

    def holds(db: Path) -> None:
        ((found,),) = rows(db, "SELECT count(*) FROM reservations")
        assert found <= most, f"the store for {most} keys holds {found}"

    return Check("BOUND the store is bounded", holds)


def replayed(history: History, _: Sequence[Step]) -> bool:
    """Return whether a request got the answer of an earlier one."""
    return any(isinstance(event.value, dict) and event.value.get("replayed") is True for event in history)


def happened(name: str, seen: Callable[..., bool]) -> Check:
    """Return a check, called *name*, for a scenario's ``must_happen``: *seen* must be true in some execution."""
    return Check(name, seen)


def _by_key(outcomes: Sequence[Outcome]) -> list[list[Outcome]]:
    """Return the outcomes in groups of calls with equal arguments, which have one key and one request."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(repr(outcome.arguments), []).append(outcome)
    return list(groups.values())
