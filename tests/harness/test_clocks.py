"""Time under control without replaced types; stamps in order; clocks that were kept before."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.boundary.patching import InPlace
from harness.scenario import Call, Check, Client, Workload
from tests.harness.clock_programs import PROGRAMS
from tests.harness.counter import explored, one, prepared, raced, reduced_and_brute
from tests.harness.test_async import check_valid, failure

pytestmark = pytest.mark.forks


def nothing(_: Path) -> None:
    """Leave the directory empty."""


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_what_holds_of_time_anywhere_holds_here(program: Callable[[Path], Any]) -> None:
    """A program that is right on any machine is not accused."""
    check_valid(explored(raced(program, setup=nothing, workers=1)))


@dataclass
class Row:
    """What a program takes down, stamped by clocks that it kept when it was imported."""

    at: float = field(default_factory=time.time)
    day: datetime = field(default_factory=partial(datetime.now, UTC))


def takes_down_if_none(db: Path) -> None:
    """Look whether there is a row, and insert one."""
    row = Row()
    with closing_connection(db) as connection:
        if not connection.execute("SELECT 1 FROM t WHERE n > 9").fetchone():
            connection.execute("INSERT INTO t (n) VALUES (?)", (f"{row.at} {row.day}",))
            connection.commit()


def closing_connection(db: Path) -> Any:
    """Return a connection that is closed where its block ends."""
    import sqlite3
    from contextlib import closing

    return closing(sqlite3.connect(db))


def test_a_race_repeats_itself_although_the_program_kept_its_clocks() -> None:
    """With real time in the rows nothing could be confirmed."""
    rule = Check("one row", lambda db: one(db, "SELECT count(*) FROM t WHERE n > 9") == 1)
    assert failure(explored(raced(takes_down_if_none, at_end=(rule,)))).kind == "at end"


def test_a_function_changed_in_place_can_be_changed_back() -> None:
    """Whatever has a reference to it sees both, and what was real stays real."""
    kept = time.process_time_ns
    placed = InPlace(time.process_time_ns, lambda: 5)
    placed.put()
    try:
        assert kept() == time.process_time_ns() == 5
        assert placed.real() > 5
        assert "put" in repr(placed)
    finally:
        placed.take_back()
    assert kept() > 5


def stamped(db: Path) -> None:
    """Read what others have stamped, and add a stamp of one's own after several readings: nobody sees the future."""
    for _ in range(3 if os.getpid() % 2 else 40):
        time.time()
    with closing_connection(db) as connection:
        connection.execute("BEGIN IMMEDIATE")
        latest = connection.execute("SELECT max(n) FROM t").fetchone()[0]
        now = time.time_ns()
        assert now > latest, f"a row is {latest - now} ns in the future"
        connection.execute("INSERT INTO t (n) VALUES (?)", (time.time_ns(),))
        connection.commit()


def test_a_later_reading_is_a_later_time_in_another_process_too() -> None:
    """Whoever has seen a stamp reads a later time, and so does a rule; and that without an execution more."""

    def none_in_the_future(db: Path) -> None:
        assert one(db, "SELECT max(n) FROM t") <= time.time_ns()

    rule = Check("none in the future", none_in_the_future)
    check_valid(explored(raced(stamped, workers=3, at_end=(rule,), invariants=(rule,))))


def test_readings_are_the_same_in_equivalent_interleavings() -> None:
    """With stamps in the rows, the reduced search finds the outcomes of trying everything."""

    def stamps(db: Path) -> list[int]:
        before = time.time_ns()
        with closing_connection(db) as connection:
            connection.execute("INSERT INTO t (n) VALUES (?)", (before,))
            connection.execute("INSERT INTO t (n) VALUES (?)", (time.time_ns(),))
            connection.commit()
        return [before, time.time_ns()]

    reduced, brute = reduced_and_brute(raced(stamps))
    assert reduced == brute
    assert len(brute) > 1


def test_time_does_not_go_back_after_setup_or_from_call_to_call() -> None:
    """An execution begins after setup and its sleeps; a client's second call reads a later time than its first."""

    def setup(db: Path) -> None:
        time.sleep(2)
        prepared()(db)
        with closing_connection(db) as connection:
            connection.execute("UPDATE t SET n = ?", (time.time_ns(),))
            connection.commit()

    def later(db: Path) -> None:
        with closing_connection(db) as connection:
            before = connection.execute("SELECT max(n) FROM t").fetchone()[0]
            now = time.time_ns()
            assert now > before, now - before
            connection.execute("UPDATE t SET n = ?", (now,))
            connection.commit()

    calls = Client((Call("op0"), Call("op0", (), 1), Call("op0")))
    check_valid(explored(raced(later, setup=setup, workload=lambda _: Workload((calls,), 2))))
