"""Time under control without replaced types; stamps in order; clocks that were kept before."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.in_place import InPlace
from harness.scenario import Check
from tests.harness.clock_programs import PROGRAMS
from tests.harness.counter import explored, one, raced
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
