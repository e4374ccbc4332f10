"""Django's SQLite backend, unmodified: its races are found, right programs are valid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.racing import scenario_of
from harness.scenario import Scenario
from tests.harness.libraries import django_programs as programs
from tests.harness.libraries.judging import found_and_replayed, valid_and_complete

pytestmark = [pytest.mark.forks, pytest.mark.slow]


def raced(worker: Callable[[Path], None], rule: Callable[[Path], None] = programs.counted) -> Scenario:
    """Return two of *worker*."""
    return scenario_of(setup=programs.set_up, worker=worker, invariant=rule)


@pytest.mark.parametrize(
    "worker",
    [programs.worker(programs.get_then_save), programs.get_then_save_asynchronously],
    ids=["sync", "async"],
)
def test_what_was_got_is_saved_too_late(worker: Callable[[Path], None]) -> None:
    """The lost update that Django's documentation warns of."""
    assert found_and_replayed(raced(worker)).kind == "at end"


def test_looking_before_creating_creates_two() -> None:
    """Check, then insert."""
    worker = programs.worker(programs.look_then_create)
    assert found_and_replayed(raced(worker, programs.made_once)).kind in ("at end", "error")


def test_a_transaction_that_begins_by_reading_is_refused() -> None:
    """``atomic`` alone loses no update, but whoever comes second is told that the database is locked."""
    failure = found_and_replayed(raced(programs.worker(programs.get_then_save_in_a_transaction)))
    assert (failure.kind, failure.rule) == ("error", "OperationalError")


@pytest.mark.parametrize(
    ("worker", "rule"),
    [
        (programs.worker(programs.by_an_expression), programs.counted),
        (programs.worker(programs.get_then_save_in_a_transaction, transaction_mode="IMMEDIATE"), programs.counted),
        (programs.worker(programs.get_or_create), programs.made_once),
    ],
    ids=["F", "immediate", "get_or_create"],
)
def test_the_corrected_program_is_valid(worker: Callable[[Path], None], rule: Callable[[Path], None]) -> None:
    """In every interleaving."""
    valid_and_complete(raced(worker, rule))
