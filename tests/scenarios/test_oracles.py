"""The oracles of keyed requests: each accuses what it should, and nothing else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.control.rules.observer import breaks
from harness.scenario import Change, Check
from harness.values.history import Event, History
from scenarios import oracles

SCHEMA = """
CREATE TABLE agents (id TEXT);
CREATE TABLE reservations (caller, endpoint, key, fingerprint, state, generation, lease_until, expires_at);
"""


def told(*ends: tuple[str, Any, str], now: float = 0.0, client: str = "c") -> History:
    """Return a history in which clients call one after another, each ending so: kind, value, error."""
    events = []
    for number, (kind, value, error) in enumerate(ends):
        name = f"{client}{number}" if client == "c" else client
        events.append(Event("invoke", name, 0, 0, "add", ("k",), number, 0.0))
        events.append(Event(kind, name, 0, 0, "add", ("k",), number, now, value, error))
    return History(tuple(events))


def made(path: Path, *records: tuple[Any, ...], agents: tuple[str, ...] = ()) -> Path:
    """Return a database with these reservations (fingerprint, state, generation, lease, expiry) of one key, and agents."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(SCHEMA)
        connection.executemany("INSERT INTO agents VALUES (?)", [(agent,) for agent in agents])
        connection.executemany("INSERT INTO reservations VALUES ('c', 'e', 'k', ?, ?, ?, ?, ?)", records)
    return path


def identity(value: Any) -> Any:
    """Return what an answer names."""
    return value


OK, TAKEN, BUSY = ("ok", "a", ""), ("fail", "taken", "SlugTaken"), ("fail", "busy", "DatabaseBusy")
HISTORIES: dict[str, tuple[Check, History, bool]] = {
    "SAME: equal answers": (oracles.same("add", identity), told(OK, OK), True),
    "SAME: two answers": (oracles.same("add", identity), told(OK, ("ok", "b", "")), False),
    "SAME: an error replays as success": (oracles.same("add", identity), told(TAKEN, OK), False),
    "SAME: a transient error is no answer": (oracles.same("add", identity), told(BUSY, OK), True),
    "REAL: it is there": (oracles.real("add", identity, "SELECT 1 FROM agents WHERE id = ?"), told(OK), True),
    "REAL: it is not": (
        oracles.real("add", identity, "SELECT 1 FROM agents WHERE id = ?"),
        told(("ok", "b", "")),
        False,
    ),
    "REAL: success of nothing": (oracles.real("add", identity, "SELECT 1"), told(("ok", None, "")), False),
    "LIVE: the probe is answered": (oracles.live(), told(OK, client="probe"), True),
    "LIVE: the probe is not": (oracles.live(), told(BUSY, client="probe"), False),
    "LIVE: a definite refusal": (oracles.live(definite=("SlugTaken",)), told(TAKEN, client="probe"), True),
    "LIVE: others may be refused": (oracles.live(), told(BUSY), True),
    "LIVE: all must be answered": (oracles.answered(), told(BUSY), False),
    "PROMPT: at once": (oracles.prompt(1.0), told(OK), True),
    "PROMPT: after a lease": (oracles.prompt(1.0), told(OK, now=5.0), False),
    "PROMPT: an owner died": (oracles.prompt(1.0), told(("info", None, ""), OK, now=5.0), True),
    "PROMPT: an owner was cancelled": (oracles.prompt(1.0), told(("info", None, "CancelledError"), OK, now=5.0), False),
    "SCOPE: an answer of one's own": (oracles.scoped("add", lambda outcome: outcome.value == "a"), told(OK), True),
    "SCOPE: another's": (oracles.scoped("add", lambda outcome: outcome.value == "b"), told(OK), False),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_what_clients_were_told(tmp_path: Path, name: str) -> None:
    """Over histories with one agent, `a`, in the database."""
    check, history, right = HISTORIES[name]
    broken = breaks(check, history, made(tmp_path / "db", agents=("a",)))
    assert (broken is None) == right, broken
    assert broken is None or "itself raised" not in broken[1]


def test_once_and_bound_count_rows(tmp_path: Path) -> None:
    """One effect is right and two are not; a store is full, or more than full."""
    one, two = made(tmp_path / "one", agents=("a",)), made(tmp_path / "two", agents=("a", "b"))
    assert breaks(oracles.once("SELECT id FROM agents"), one) is None
    assert breaks(oracles.once("SELECT id FROM agents"), two) is not None
    full = made(tmp_path / "full", ("f", "finished", 1, 0, 0))
    assert breaks(oracles.bounded_store(1), full) is None
    assert breaks(oracles.bounded_store(0), full) is not None


PENDING, SECOND = ("f", "pending", 1, 10.0, None), ("f", "pending", 2, 20.0, None)
CHANGES: dict[str, tuple[Check, tuple[Any, ...] | None, tuple[Any, ...] | None, float, str, bool]] = {
    "OWNER: finishes its own": (oracles.one_owner(), PENDING, ("f", "finished", 1, 10.0, 99.0), 5.0, "c0", True),
    "OWNER: released by another": (oracles.one_owner(), PENDING, ("f", "released", 1, 10.0, 99.0), 5.0, "c1/1", False),
    "OWNER: released by a task of its own": (oracles.one_owner(), PENDING, ("f", "released", 1, 10.0, 9.0), 5.0, "c0/2", True),
    "OWNER: taken over in time": (oracles.one_owner(), PENDING, SECOND, 11.0, "c1", True),
    "OWNER: taken over too soon": (oracles.one_owner(), PENDING, SECOND, 5.0, "c1", False),
    "OWNER: dropped": (oracles.one_owner(), PENDING, None, 5.0, "c1", False),
    "OWNER: without a deadline it lives": (oracles.one_owner(), ("f", "pending", 1, 0.0, None), SECOND, 5.0, "c1", False),
    "SCOPE: stays bound": (oracles.bound_to_request(), PENDING, SECOND, 11.0, "c1", True),
    "SCOPE: passes to another request": (oracles.bound_to_request(), PENDING, ("g", *SECOND[1:]), 11.0, "c1", False),
    "SCOPE: expired": (
        oracles.bound_to_request(), ("f", "finished", 1, 0.0, 9.0), ("g", *SECOND[1:]), 11.0, "c1", True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_changes_of_a_record(tmp_path: Path, name: str) -> None:
    """Whose key it was, whose hand changed it, and when."""
    check, before, after, now, lane, right = CHANGES[name]
    start, first, second = (
        made(tmp_path / str(number), *([record] if record else []))
        for number, record in enumerate((None, before, after))
    )
    begun = Change(0.0, "c0/1", {})
    assert breaks(check, start, first, begun) is None
    broken = breaks(check, first, second, Change(now, lane, begun.notes))
    assert (broken is None) == right, broken
    assert broken is None or "itself raised" not in broken[1]


@pytest.mark.parametrize(("now", "right"), [(25.0, True), (15.0, False)])
def test_an_answer_is_kept_for_its_retention(tmp_path: Path, now: float, right: bool) -> None:
    """From its completion, whatever the record says."""
    pending, finished, again = (
        made(tmp_path / str(number), record)
        for number, record in enumerate((PENDING, ("f", "finished", 1, 10.0, 1.0), SECOND))
    )
    check, notes = oracles.retained(20.0), {}
    assert breaks(check, pending, finished, Change(5.0, "c0", notes)) is None
    assert (breaks(check, finished, again, Change(now, "c1", notes)) is None) == right
