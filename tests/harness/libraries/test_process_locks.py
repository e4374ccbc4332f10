"""Locks and values of ``multiprocessing`` and ``multiprocess`` that workers inherit: they exclude, nobody waits in reality."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import multiprocess
import pytest

from harness.faults import Faults
from harness.racing import scenario_of
from harness.reports.text.transcript import transcript
from harness.scenario import Scenario
from tests.harness.counter import counts_to, explored, raced, reduced_and_brute
from tests.harness.libraries.judging import found_and_replayed, valid_and_complete
from tests.harness.sync_programs import bump, plainly

pytestmark = pytest.mark.forks

LOCK, SECOND = multiprocessing.Lock(), multiprocessing.Lock()
OTHER = multiprocess.RLock()
TWO = multiprocessing.Semaphore(2)
DONE = multiprocessing.Event()
COUNTER = multiprocessing.Value("i", 0)
"""Made when this module is imported, as a service that forks its workers makes them."""


def counts(db: Path) -> None:
    """Read, and write back."""
    with plainly(db) as connection:
        bump(connection)


def under_a_lock(db: Path) -> None:
    """One at a time."""
    with LOCK:
        counts(db)


def under_a_recursive_lock(db: Path) -> None:
    """Its owner takes it again."""
    with OTHER, OTHER:
        counts(db)


def waits_at_most(db: Path) -> None:
    """Goes on without it after a second, which the other one does not need."""
    taken = LOCK.acquire(timeout=1)
    counts(db)
    if taken:
        LOCK.release()


def under_a_semaphore(db: Path) -> None:
    """Two may be inside."""
    with TWO:
        counts(db)


def goes_on_without(db: Path) -> None:
    """Only tries it."""
    taken = LOCK.acquire(block=False)
    counts(db)
    if taken:
        LOCK.release()


END = (counts_to(2),)


@pytest.mark.parametrize("worker", [under_a_lock, under_a_recursive_lock, waits_at_most])
def test_what_is_under_the_lock_is_not_lost(worker: Callable[[Path], None]) -> None:
    """Valid, and complete."""
    valid_and_complete(raced(worker, at_end=END))


@pytest.mark.parametrize("worker", [under_a_semaphore, goes_on_without])
def test_a_lock_misused_is_found(worker: Callable[[Path], None]) -> None:
    """What keeps nobody out loses an update."""
    assert found_and_replayed(raced(worker, at_end=END)).kind == "at end"


@pytest.mark.slow
def test_pruning_loses_no_outcome() -> None:
    """The reduced search finds the outcomes that trying everything finds."""
    for scenario in (raced(goes_on_without), of_values(added)):
        reduced, brute = reduced_and_brute(scenario)
        assert reduced == brute


def crossing(_: Path, number: int) -> None:
    """Take two locks, each worker in its own order."""
    one, other = (LOCK, SECOND) if number else (SECOND, LOCK)
    with one, other:
        pass


def test_locks_taken_in_two_orders_are_a_deadlock() -> None:
    """Who waits for which is said, by the names that the locks have in the source."""
    message = found_and_replayed(scenario_of(setup=lambda _: None, worker=crossing)).message
    assert "w0 c0 waits at test_process_locks.py:" in message
    assert "(acquire LOCK)" in message
    assert "(acquire SECOND)" in message


def test_who_is_killed_with_a_lock_never_lets_it_go() -> None:
    """Unlike a lock on a file: the other one waits for ever."""
    failure = found_and_replayed(raced(under_a_lock, faults=Faults(kill=True, most=1)))
    assert failure.kind == "deadlock"
    assert "(acquire LOCK)" in failure.message


def added(_: Path) -> None:
    """Two accesses, each under the value's own lock."""
    COUNTER.value += 1


def added_under_its_lock(_: Path) -> None:
    """One at a time."""
    with COUNTER.get_lock():
        COUNTER.value += 1


def of_values(worker: Callable[[Path], None]) -> Scenario:
    """Return two of *worker*, which shall count to seven together."""

    def set_up(_: Path) -> None:
        COUNTER.value = 5

    return scenario_of(setup=set_up, worker=worker, invariant=lambda _: COUNTER.value == 7)


def test_a_value_that_workers_share_loses_an_update() -> None:
    """Checks see what workers have made of it, each execution begins with what setup made, and the user's own is left alone."""
    assert found_and_replayed(of_values(added)).kind == "at end"
    valid_and_complete(of_values(added_under_its_lock))
    assert COUNTER.value == 0


def added_freely(db: Path) -> None:
    """Reads and changes what the lock is for, without it."""
    n = COUNTER.get_obj().value
    db.with_name("between").touch()
    COUNTER.get_obj().value = n + 1


def test_a_value_changed_without_its_lock_is_named() -> None:
    """Its race is found where a schedule point lies between, and that it is no point itself is said."""
    result = explored(of_values(added_freely))
    assert result.counterexample is not None
    assert "it returned False" in str(result.counterexample.failure)
    assert any("changed without a lock" in note for note in result.notes)


def test_several_explorations_have_each_their_own() -> None:
    """Though all inherit the same lock and the same memory."""
    assert explored(of_values(added_under_its_lock), jobs=2).complete


def test_a_lock_in_a_closure_is_one_too() -> None:
    """A function that travels brings it along."""
    lock = multiprocess.Lock()

    def worker(db: Path) -> None:
        with lock:
            counts(db)

    steps = valid_and_complete(raced(worker, at_end=END))
    assert steps.executions > 1
    result = explored(raced(worker, at_end=(counts_to(3),)))
    assert result.counterexample is not None
    assert "acquire lock" in transcript(result.counterexample)


def sets(db: Path) -> None:
    """Write, and say so."""
    counts(db)
    DONE.set()


def waits(db: Path) -> None:
    """Write when the other has."""
    assert DONE.wait(60)
    counts(db)


def tells_before(db: Path) -> None:
    """Say so, and write."""
    DONE.set()
    counts(db)


def test_an_event_of_two_processes() -> None:
    """It is built of these locks: who waits is woken, and who is told too early loses an update."""
    valid_and_complete(raced([sets, waits], at_end=END))
    assert found_and_replayed(raced([tells_before, waits], at_end=END)).kind == "at end"
