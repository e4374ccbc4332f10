"""The oracles of keyed requests: what a client may rely on, whatever is killed, cancelled, refused or late.

Each is made for the tables and operations that it is to look at, and says what it found.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.history import History, Outcome, Step
from harness.scenario import Check
from scenarios.rules import rows

__all__ = [
    "DOCUMENTED",
    "bounded_store",
    "happened",
    "live",
    "once",
    "one_owner",
    "prompt",
    "real",
    "replayed",
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
    """ONCE: the query *effects* for the durable effects of one key gives at most one row."""

    def holds(db: Path) -> None:
        found = rows(db, effects)
        assert len(found) <= 1, f"one key made {len(found)} {what}: {found}"

    return Check("ONCE one effect per key", holds)


def same(operation: str, identity: Callable[[Any], object]) -> Check:
    """SAME: all who made the call *operation* with the same key are told of the same thing, as *identity* names it."""

    def holds(history: History, _: Path) -> None:
        for group in _by_key(history.outcomes(operation)):
            told = {json.dumps(identity(outcome.value)) for outcome in group if outcome.ok}
            assert len(told) <= 1, f"one key was answered with {' and '.join(sorted(told))}"

    return Check("SAME one answer per key", holds)


def real(operation: str, identity: Callable[[Any], object], exists: str) -> Check:
    """REAL: who is told that *operation* succeeded is told of something that is there (*exists*: a query by its identity)."""

    def holds(history: History, db: Path) -> None:
        for outcome in history.outcomes(operation):
            if outcome.ok:
                named = identity(outcome.value)
                assert named is not None, f"{outcome.client} was answered {outcome.value!r}: success of nothing"
                assert rows(db, exists, named), f"{outcome.client} was told of {named!r}, which is not there"

    return Check("REAL success means an effect", holds)


def scoped(operation: str, answers: Callable[[Outcome], bool]) -> Check:
    """SCOPE: no answer was made for another request (*answers* says whether one fits)."""

    def holds(history: History, _: Path) -> None:
        for outcome in history.outcomes(operation):
            assert not outcome.ok or answers(outcome), (
                f"{outcome.client} asked for {outcome.arguments} and got {outcome.value!r}"
            )

    return Check("SCOPE no answer to another request", holds)


def live(*, definite: Sequence[str] = ()) -> Check:
    """LIVE: after all that happened the probe gets a definite answer: success, or one of the errors *definite*."""

    def holds(history: History, _: Path) -> None:
        for outcome in history.outcomes():
            if outcome.client == _PROBE and not outcome.ok:
                assert outcome.error in definite, f"a fresh retry was told {outcome.error}: {outcome.value}"

    return Check("LIVE a fresh retry is answered", holds)


def prompt(seconds: float) -> Check:
    """PROMPT: unless an owner died, the probe need not wait for a lease: it is answered within *seconds*."""

    def holds(history: History, _: Path) -> None:
        if any(event.kind == "info" and not event.error for event in history):
            return
        asked = None
        for event in history:
            if event.client == _PROBE:
                if event.kind == "invoke":
                    asked = event.now
                elif asked is not None:
                    waited = event.now - asked
                    assert waited <= seconds, f"a fresh retry waited for {waited:g} s though every owner had finished"

    return Check("PROMPT no waiting for who has finished", holds)


def one_owner() -> Check:
    """OWNER: a key passes to another owner only when the one before has finished, released it or let its lease pass."""
    owners = "SELECT caller, endpoint, key, generation, state, lease_until FROM reservations"

    def holds(before: Path, after: Path, now: float) -> None:
        then = {row[:3]: row[3:] for row in rows(before, owners)}
        later = {row[:3]: row[3:] for row in rows(after, owners)}
        for key, (generation, state, lease_until) in then.items():
            if state != "pending" or lease_until <= now:
                continue
            found = later.get(key)
            assert found is not None, f"the live reservation {generation} of {key[2]!r} was dropped"
            assert found[0] == generation, (
                f"{key[2]!r} passed from owner {generation} to {found[0]}, {lease_until - now:g} s before its lease ended"
            )

    return Check("OWNER one live owner per key", holds)


def bounded_store(most: int) -> Check:
    """BOUND: the store never holds more than *most* keys."""

    def holds(db: Path) -> None:
        ((found,),) = rows(db, "SELECT count(*) FROM reservations")
        assert found <= most, f"the store for {most} keys holds {found}"

    return Check("BOUND the store is bounded", holds)


def replayed(history: History, _: Sequence[Step]) -> bool:
    """Somebody was told an earlier request's answer."""
    return any(isinstance(event.value, dict) and event.value.get("replayed") is True for event in history)


def happened(name: str, seen: Callable[..., bool]) -> Check:
    """Return that *seen* must happen, under *name*."""
    return Check(name, seen)


def _by_key(outcomes: Sequence[Outcome]) -> list[list[Outcome]]:
    """Return the outcomes of calls with equal arguments, which is to say of one key and payload, together."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(repr(outcome.arguments), []).append(outcome)
    return list(groups.values())
