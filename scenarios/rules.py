"""The rules that scenarios share; the words in capitals are the names of the oracles that they implement."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.checks.linearizability import Linearizability, check, from_history
from harness.checks.operations import Operation
from harness.checks.specs import ONE_ACTIVE, RESERVATION
from harness.scenario import Check
from harness.values.history import History, Outcome, Step
from scenarios.reading import rows

__all__ = [
    "CLEAN_CONNECTIONS",
    "CONTENDED",
    "ONE_ACTIVE_TOKEN",
    "OVERLAPPED",
    "RETURNED_TOKENS_ARE_REAL",
    "UNIQUE_SLUGS",
    "keys_linearizable",
    "rows",
    "tokens_linearizable",
]


def one_active_token(db: Path) -> None:
    """Check TOK1: no agent has two active tokens."""
    many = rows(
        db,
        "SELECT agents.slug, count(*) FROM tokens JOIN agents ON agents.id = tokens.agent_id"
        " WHERE revoked_at IS NULL GROUP BY agents.slug HAVING count(*) > 1",
    )
    assert not many, f"agent {many[0][0]!r} has {many[0][1]} active tokens"


def returned_tokens_are_real(history: History, db: Path) -> None:
    """Check TOKR: a returned token is in the database, belongs to the requested agent, and has the returned secret."""
    for outcome in [*history.outcomes("issue"), *history.outcomes("rotate")]:
        if not outcome.ok:
            continue
        token: Any = outcome.value
        assert isinstance(token, dict), f"{outcome.client} was answered {token!r} instead of a token"
        found = rows(
            db,
            "SELECT slug, secret_hash FROM tokens JOIN agents ON agents.id = tokens.agent_id WHERE tokens.id = ?",
            token["id"],
        )
        assert found, f"{outcome.client} was given token {token['id']}, which is not in the database"
        slug, secret_hash = found[0]
        agent = outcome.arguments[0]
        assert slug == agent, f"{outcome.client} asked for a token of {agent!r} and was given one of {slug!r}"
        given = hashlib.sha256(token["secret"].encode()).hexdigest()
        assert token["secret"].startswith(token["id"] + "."), f"{outcome.client} was given the id of another token"
        assert hmac.compare_digest(secret_hash, given), (
            f"the secret {outcome.client} was given is not that of the token"
        )


def tokens_linearizable(initial: object) -> Check:
    """Return the rule that the answers about tokens are linearizable; *initial* is the id of the first active token."""
    spec = replace(ONE_ACTIVE, initial=initial)

    def answer(history: History) -> Linearizability:
        calls = from_history(history, ("issue", "rotate", "revoke", "get_active"))
        named = [replace(call, result=call.result["id"]) if isinstance(call.result, dict) else call for call in calls]
        return check(named, spec)

    return _linearizable("one active token per agent", answer)


def keys_linearizable() -> Check:
    """Return the rule that the answers of ``create(name, caller, key)`` are linearizable: the first success binds the key."""

    def answer(history: History) -> Linearizability:
        return check([_keyed(call) for call in from_history(history, ("create",))], RESERVATION)

    return _linearizable("one answer per key", answer)


def _linearizable(what: str, answer: Callable[[History], Linearizability]) -> Check:
    def holds(history: History, _: Path) -> None:
        found = answer(history)
        assert found.valid, found.explain()

    return Check(f"linearizable: {what}", holds, answer)


def _keyed(call: Operation) -> Operation:
    """Return *call* with its key (caller and key), then its request, as arguments, and the agent's id as its result."""
    name, *key = call.arguments
    told: Any = call.result
    result = told["agent"]["id"] if isinstance(told, dict) else told
    return replace(call, arguments=("/".join(map(str, key)), name), result=result)


def unique_slugs(db: Path) -> None:
    """Check CFG: no two agents share a slug."""
    many = rows(db, "SELECT slug, count(*) FROM agents GROUP BY slug HAVING count(*) > 1")
    assert not many, f"{many[0][1]} agents have the slug {many[0][0]!r}"


def clean_connections(history: History, _: Path) -> None:
    """Check CLEAN: no connection is left in a transaction."""
    assert not history.left_open, f"left in a transaction: {', '.join(history.left_open)}"


def overlapped(history: History, _: Sequence[Step]) -> bool:
    """Return whether two calls were under way at the same time."""
    under_way: set[str] = set()
    for event in history:
        if event.kind == "invoke":
            if under_way - {event.client}:
                return True
            under_way.add(event.client)
        else:
            under_way.discard(event.client)
    return False


def contended(_: History, steps: Sequence[Step]) -> bool:
    """Return whether a step waited for another's lock or was refused because of it."""
    return any(step.waited or "locked" in step.error for step in steps)


def told(outcomes: Sequence[Outcome], kind: str, error: str = "") -> list[Outcome]:
    """Return the outcomes of *kind*; if *error* is given, only those with this error."""
    return [outcome for outcome in outcomes if outcome.kind == kind and error in ("", outcome.error)]


ONE_ACTIVE_TOKEN = Check("TOK1 one active token per agent", one_active_token)
RETURNED_TOKENS_ARE_REAL = Check("TOKR returned tokens are real", returned_tokens_are_real)
UNIQUE_SLUGS = Check("CFG slugs are unique", unique_slugs)
CLEAN_CONNECTIONS = Check("CLEAN no connection left in a transaction", clean_connections)
OVERLAPPED = Check("calls overlapped", overlapped)
CONTENDED = Check("a lock was contended", contended)
