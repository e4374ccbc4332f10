"""``time``, ``datetime``, ``random``, ``secrets``, ``uuid``, ``os.urandom``: code that uses them races the same each time."""

from __future__ import annotations

import datetime
import os
import random
import secrets
import time
import uuid
from pathlib import Path

import pytest

from harness.faults import Faults
from tests.harness.counter import counts_to, raced
from tests.harness.libraries.judging import found_and_replayed, valid_and_complete
from tests.harness.sync_programs import READ, plainly

pytestmark = pytest.mark.forks


def draws(db: Path) -> None:
    """Count, after a moment that is drawn, by a statement in which everything is that can be drawn or read from a clock."""
    drawn = (
        random.random(), random.choice("abc"), secrets.token_hex(4), uuid.uuid1(), uuid.uuid4(), os.urandom(4).hex(),
        time.time(), time.monotonic(), time.strftime("%H:%M:%S"), datetime.datetime.now(), datetime.date.today(),
    )  # fmt: skip
    with plainly(db) as connection:
        (n,) = connection.execute(READ).fetchone()
        time.sleep(random.random())
        connection.execute(f"UPDATE t SET n = {n} + 1 /* {' '.join(map(str, drawn))} */ WHERE k = 1")


def test_a_race_of_code_that_draws_is_found_and_replayed() -> None:
    """In other processes, at another time, on the same statements."""
    assert found_and_replayed(raced(draws, at_end=(counts_to(2),))).kind == "at end"


def leased(db: Path) -> None:
    """Do once a minute what is to be done once a minute, by the clock."""
    with plainly(db) as connection:
        connection.execute("BEGIN IMMEDIATE")
        (due,) = connection.execute(READ).fetchone()
        if time.time() >= due:
            connection.execute("UPDATE t SET n = ? WHERE k = 1", (int(time.time()) + 60,))
            connection.execute("UPDATE t SET n = n + 1 WHERE k = 2")
        connection.execute("COMMIT")


ONCE = counts_to(1, "SELECT n FROM t WHERE k = 2")


def test_a_clock_that_jumps_breaks_what_relies_on_it() -> None:
    """With the clock as it is it is done once; where it may jump by a minute, twice."""
    valid_and_complete(raced(leased, at_end=(ONCE,)))
    assert found_and_replayed(raced(leased, at_end=(ONCE,), faults=Faults(jumps=(60.0,), most=1))).kind == "at end"
