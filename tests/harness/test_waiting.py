"""Waiting is not failing: who looks again and again sees what time brings; what nothing ends is no progress."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from harness.control.run import run
from harness.faults import Faults
from harness.result import Result
from harness.verdict import Verdict
from tests.harness.counter import raced

pytestmark = [pytest.mark.forks, pytest.mark.slow]

LEASE = 10.0


def connect(db: Path, **options: Any) -> Any:
    """Return a connection in autocommit, to be closed by ``with``."""
    return closing(sqlite3.connect(db, isolation_level=None, **options))


def lease_that_ends(db: Path) -> None:
    """Set up a lease of ten seconds whose owner is dead."""
    with connect(db) as connection:
        connection.execute("CREATE TABLE lease (until REAL)")
        connection.execute("INSERT INTO lease VALUES (?)", (time.time() + LEASE,))
    db.with_name("lock").write_text(f"{time.time() + LEASE}")


def is_free(connection: sqlite3.Connection) -> bool:
    """Return whether the lease has ended."""
    (until,) = connection.execute("SELECT until FROM lease").fetchone()
    return bool(until <= time.time())


def every_millisecond(db: Path) -> None:
    """Look, sleep a millisecond."""
    with connect(db) as connection:
        while not is_free(connection):
            time.sleep(0.001)


def more_and_more_seldom(db: Path) -> None:
    """Sleep twice as long each time, up to a tenth of a second."""
    wait = 0.0001
    with connect(db) as connection:
        while not is_free(connection):
            time.sleep(wait)
            wait = min(2 * wait, 0.1)


def in_two_steps(db: Path) -> None:
    """Look in two ways in turns."""
    with connect(db) as connection:
        while True:
            if is_free(connection):
                break
            time.sleep(0.002)
            if float(db.with_name("lock").read_text()) <= time.time():
                break
            time.sleep(0.003)


def in_transactions(db: Path) -> None:
    """Write what changes nothing."""
    with connect(db) as connection:
        while True:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM lease WHERE until <= ?", (time.time(),))
            free = not connection.execute("SELECT 1 FROM lease").fetchone()
            connection.execute("COMMIT")
            if free:
                return
            time.sleep(0.001)


def counting(db: Path) -> None:
    """Write down each look, so that every one of them changes something."""
    with connect(db) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS looks (n)")
        while not is_free(connection):
            connection.execute("INSERT INTO looks VALUES (1)")
            time.sleep(0.01)


def with_a_lock_file(db: Path) -> None:
    """Look at the file beside the database."""
    while float(db.with_name("lock").read_text()) > time.time():
        time.sleep(0.05)


async def in_a_loop(db: Path) -> None:
    """Look from an event loop."""
    with connect(db) as connection:
        while not is_free(connection):
            await asyncio.sleep(0.001)


def for_an_event(db: Path) -> None:
    """Wait for an event that nobody sets, for a while each time."""
    event = threading.Event()
    with connect(db) as connection:
        while not is_free(connection):
            event.wait(0.005)


def without_a_sleep(db: Path) -> None:
    """Look as fast as can be."""
    with connect(db) as connection:
        while not is_free(connection):
            pass


def until_locked_no_more(db: Path) -> None:
    """Ask for the database's lock without waiting for it, and sleep where it is refused."""
    with connect(db, timeout=0) as connection:
        while True:
            with suppress(sqlite3.OperationalError):
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("COMMIT")
                return
            time.sleep(0.001)


def holds_it_long(db: Path) -> None:
    """Hold the database's lock for ten seconds."""
    with connect(db) as connection:
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(LEASE)
        connection.execute("COMMIT")


POLLS: list[Callable[[Path], Any]] = [
    every_millisecond,
    more_and_more_seldom,
    in_two_steps,
    in_transactions,
    counting,
    with_a_lock_file,
    in_a_loop,
    for_an_event,
    without_a_sleep,
]


def tried(programs: list[Callable[[Path], Any]], most: int = 20, **fields: Any) -> Result:
    """Explore a little: what is asked is whether anything is accused."""
    scenario = raced(programs, **{"setup": lease_that_ends, **fields})
    return run(scenario, scheduler="exhaustive", max_executions=most, explain=False)


@pytest.mark.parametrize("poll", POLLS)
def test_a_poll_for_a_lease_ends(poll: Callable[[Path], Any]) -> None:
    """However it looks, it sees the lease end; and in few steps for each execution."""
    alone = tried([poll], most=1, steps=400)
    assert alone.verdict is Verdict.VALID, alone.counterexample
    assert alone.steps < 800
    assert tried([poll, poll], most=3, steps=400).verdict is Verdict.VALID


@pytest.mark.parametrize("poll", [until_locked_no_more])
def test_a_poll_for_a_lock_that_is_held_long_ends(poll: Callable[[Path], Any]) -> None:
    """Ten thousand refusals are few steps."""
    result = tried([holds_it_long, poll])
    assert result.verdict is Verdict.VALID, result.counterexample


def takes_it(db: Path) -> None:
    """Take the lease when it has ended, and let it go."""
    with connect(db) as connection:
        while not connection.execute(
            "UPDATE lease SET until = ? WHERE until <= ?", (time.time() + LEASE, time.time())
        ).rowcount:
            time.sleep(0.001)
        connection.execute("UPDATE lease SET until = 0")


def test_a_killed_owners_lease_ends() -> None:
    """Who waits for somebody who was killed gets the lease in the end."""
    result = tried([takes_it, takes_it], most=60, faults=Faults(kill=True, most=1))
    assert result.verdict is Verdict.VALID, result.counterexample


def waits_for_the_other(db: Path) -> None:
    """Wait for a row that the other writes after it has waited for one of this."""
    with connect(db) as connection:
        while connection.execute("SELECT 1 FROM lease WHERE until < 0").fetchone() is None:
            time.sleep(0.05)
        connection.execute("INSERT INTO lease VALUES (-1)")


async def waits_for_ever(db: Path) -> None:
    """The same from an event loop."""
    with connect(db) as connection:
        while connection.execute("SELECT 1 FROM lease WHERE until < 0").fetchone() is None:
            await asyncio.sleep(0.05)


def spins_for_ever(db: Path) -> None:
    """The same without a sleep."""
    with connect(db) as connection:
        while connection.execute("SELECT 1 FROM lease WHERE until < 0").fetchone() is None:
            pass


@pytest.mark.parametrize("program", [waits_for_the_other, waits_for_ever, spins_for_ever])
def test_what_no_time_ends_is_no_progress(program: Callable[[Path], Any]) -> None:
    """Two who wait for each other are said to, though time was led on for months."""
    result = tried([program, program], most=3, steps=200)
    assert result.verdict is Verdict.INVALID
    assert result.counterexample is not None
    assert result.counterexample.failure is not None
    assert result.counterexample.failure.kind == "no progress"
    assert result.counterexample.steps[-1].now > 30 * 86_400


def counts_seconds(db: Path) -> None:
    """Sleep a second 60 times, and see that a minute has passed."""
    began = time.monotonic()
    for _ in range(60):
        time.sleep(1.0)
    assert 59 < time.monotonic() - began < 61, f"{time.monotonic() - began:g} s have passed"
    with connect(db) as connection:
        connection.execute("UPDATE lease SET until = 0")


def test_who_counts_seconds_is_not_led_on() -> None:
    """A sleeper who looks at nothing gets the time that it asked for, and who looks meanwhile does not go past it."""
    result = tried([counts_seconds], most=1)
    assert result.verdict is Verdict.VALID, result.counterexample


def sleeps_a_minute(db: Path) -> None:
    """Sleep for a minute at once, and see that no more has passed; end the lease."""
    with connect(db) as connection:
        connection.execute("UPDATE lease SET until = ?", (time.time() + 1e6,))
        began = time.monotonic()
        time.sleep(60.0)
        assert time.monotonic() - began < 61
        connection.execute("UPDATE lease SET until = 0")


def test_nobody_is_led_past_another_ones_time() -> None:
    """One looks every millisecond for what another does in a minute: that one wakes on time."""
    result = tried([sleeps_a_minute, every_millisecond], most=10, delays=0)
    assert result.verdict is Verdict.VALID, result.counterexample
