"""Libraries that lock by files, unmodified: nothing under their lock is lost, nobody waits for ever."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import filelock
import portalocker
import pytest

import harness
from tests.harness.file_programs import bump, counted, set_up

pytestmark = [pytest.mark.forks, pytest.mark.slow]


def by_flock(db: Path) -> None:
    """``filelock`` over ``fcntl.flock``, asked for again and again."""
    with filelock.FileLock(db.parent / "lock"):
        bump(db)


def by_lock_file(db: Path) -> None:
    """``filelock`` over a file that exists or not."""
    with filelock.SoftFileLock(db.parent / "lock"):
        bump(db)


def by_portalocker(db: Path) -> None:
    """``portalocker``."""
    with portalocker.Lock(db.parent / "lock", "a"):
        bump(db)


def by_locks_of_their_own(db: Path, number: int) -> None:
    """Two locks keep nobody out."""
    with filelock.FileLock(db.parent / f"lock{number}"):
        bump(db)


@pytest.mark.parametrize("worker", [by_flock, by_lock_file, by_portalocker])
def test_what_is_under_the_lock_is_not_lost(worker: Callable[[Path], None]) -> None:
    """Valid, and complete; without delays, with which a lock file that is asked for again and again takes ten thousands."""
    result = harness.race(setup=set_up, worker=worker, invariant=lambda db: counted(db) == 2, delays=0)
    assert result.complete


def test_a_lock_of_ones_own_keeps_nobody_out() -> None:
    """The same code with two locks loses an update."""
    with pytest.raises(harness.RaceFound, match="fell between"):
        harness.race(setup=set_up, worker=by_locks_of_their_own, invariant=lambda db: counted(db) == 2)
