"""The sixty-second way: what ``harness.race`` takes, and how it says what it found."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

import harness

pytestmark = pytest.mark.forks


def setup(db: Path) -> None:
    """A counter at 0."""
    with closing(sqlite3.connect(db)) as connection:
        connection.executescript("CREATE TABLE t (n); INSERT INTO t VALUES (0)")


def add(db: Path, amount: int) -> None:
    """Add *amount* in one statement."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("UPDATE t SET n = n + ?", (amount,))


def total(db: Path) -> int:
    """Return where the counter stands."""
    with closing(sqlite3.connect(db)) as connection:
        return int(connection.execute("SELECT n FROM t").fetchone()[0])


async def lossy(db: Path) -> None:
    """Read, then write what was read plus one."""
    async with aiosqlite.connect(db, isolation_level=None) as connection:
        ((n,),) = await connection.execute_fetchall("SELECT n FROM t")
        await connection.execute("UPDATE t SET n = ?", (n + 1,))


def test_a_closure_that_takes_its_number() -> None:
    """Each worker is told its number, closures travel, and a correct program gets its result."""
    unit = 10
    result = harness.race(
        setup=setup, worker=lambda db, number: add(db, unit * (number + 1)), invariant=lambda db: total(db) == 30
    )
    assert (result.verdict, result.complete) == ("valid", True)


def test_a_function_for_each_worker() -> None:
    """A sequence gives each process its own function."""
    workers: list[Any] = [lambda db: add(db, 1), lambda db: add(db, 5)]
    assert harness.race(setup=setup, worker=workers, invariant=lambda db: total(db) == 6).complete


def test_an_async_worker_that_loses_an_update_raises() -> None:
    """An invalid verdict raises RaceFound, an AssertionError that shows the steps and holds the result."""
    with pytest.raises(harness.RaceFound, match="BROKEN HERE") as found:
        harness.race(setup=setup, worker=lossy, invariant=lambda db: total(db) == 2)
    assert found.value.result.counterexample is not None
    assert found.value.result.counterexample.preemptions == 1


def test_always_is_asked_after_every_step() -> None:
    """What holds in the end only is broken in between, at the step that broke it."""
    steps = [lambda db: add(db, 5) or add(db, -5), lambda db: None]  # type: ignore[func-returns-value]
    assert harness.race(setup=setup, worker=steps, invariant=lambda db: total(db) == 0).verdict == "valid"
    result = harness.race(setup=setup, worker=steps, always=lambda db: total(db) == 0, check=False)
    assert result.verdict == "invalid"
    assert result.counterexample is not None
    assert result.counterexample.failure is not None
    assert result.counterexample.steps[result.counterexample.failure.step].text.startswith("UPDATE")


def test_an_unknown_verdict_raises_too() -> None:
    """Unknown is never a pass."""

    def restless(db: Path) -> None:
        with open("/dev/urandom", "rb") as chance:  # what only lasts in a process is the same in every fresh one
            add(db, int.from_bytes(chance.read(4)))

    with pytest.raises(harness.Undecided, match="departs from the recording"):
        harness.race(setup=setup, worker=restless)
