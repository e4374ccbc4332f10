"""peewee, unmodified: its races are found, right programs are valid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import peewee
import pytest

from tests.harness.counter import counts_to, raced
from tests.harness.libraries.judging import found_and_replayed, valid_and_complete

pytestmark = [pytest.mark.forks, pytest.mark.slow]

DATABASE = peewee.SqliteDatabase(None)
"""Which file it is in is told when the process begins, as peewee's documentation has it."""


class Counter(peewee.Model):
    """What is counted in."""

    k = peewee.IntegerField(primary_key=True)
    n = peewee.IntegerField()

    class Meta:
        """Where it is."""

        database = DATABASE
        table_name = "t"


def connected(function: Callable[[], None]) -> Callable[[Path], None]:
    """Return what a process does that serves one request by *function*."""

    def serve(db: Path) -> None:
        DATABASE.init(str(db))
        with DATABASE.connection_context():
            function()

    return serve


@connected
def get_then_save() -> None:
    """What is saved was computed from what was got."""
    counter = Counter.get_by_id(1)
    counter.n += 1
    counter.save()


@connected
def by_an_expression() -> None:
    """The database computes it."""
    Counter.update(n=Counter.n + 1).where(Counter.k == 1).execute()


@connected
def in_an_immediate_transaction() -> None:
    """Nobody else writes meanwhile."""
    with DATABASE.atomic("IMMEDIATE"):
        counter = Counter.get_by_id(1)
        counter.n += 1
        counter.save()


@connected
def look_then_create() -> None:
    """Two may see none."""
    if not Counter.select().where(Counter.n == 7).exists():
        Counter.create(n=7)


TWO = counts_to(2)


@pytest.mark.parametrize(
    ("worker", "rule"),
    [(get_then_save, TWO), (look_then_create, counts_to(1, "SELECT count(*) FROM t WHERE n = 7"))],
    ids=["saved", "created"],
)
def test_its_race_is_found_and_replayed(worker: Callable[[Path], None], rule: Any) -> None:
    """What was read has changed by the time of the write."""
    assert found_and_replayed(raced(worker, at_end=(rule,))).kind == "at end"


@pytest.mark.parametrize("worker", [by_an_expression, in_an_immediate_transaction])
def test_the_corrected_program_is_valid(worker: Callable[[Path], None]) -> None:
    """In every interleaving."""
    valid_and_complete(raced(worker, at_end=(TWO,)))
