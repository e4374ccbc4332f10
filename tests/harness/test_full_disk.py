"""Where the shared directory is full, nothing is claimed, and the reason is given."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.control.tally import Progress
from harness.control.testbed import directories, disk_space, pinning, shared_files
from harness.control.testbed.disk_space import NoRoom
from harness.errors import Unsupported
from harness.result import Interrupted
from harness.verdict import Verdict
from tests.harness.counter import counts_to, explored, raced
from tests.harness.sync_programs import autocommit_in_one, two_transactions

pytestmark = pytest.mark.forks


def full(*_: object) -> None:
    """Fail as writing to a full file system does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def told_full(db: Path) -> None:
    """Meet a full disk, as SQLite says it."""
    raise sqlite3.OperationalError("database or disk is full")


def after(calls: int, fails: Callable[..., None], works: Callable[..., None]) -> Callable[..., None]:
    """Return what does *works* so many times, and then *fails*."""
    left = [calls]

    def either(*arguments: Any) -> None:
        left[0] -= 1
        (works if left[0] >= 0 else fails)(*arguments)

    return either


def test_too_little_room_at_the_start_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything runs."""
    monkeypatch.setattr(disk_space, "LEAST", 1 << 60)
    with pytest.raises(Unsupported, match=r"is full .* bytes are free"):
        explored(raced(autocommit_in_one))


def test_a_full_disk_in_mid_run_keeps_what_was_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is unknown, with the executions that were."""
    monkeypatch.setattr(shared_files, "lay_out", after(4, full, shared_files.lay_out))
    result = explored(raced(autocommit_in_one), scheduler="brute")
    assert result.verdict is Verdict.UNKNOWN
    assert result.executions >= 1
    assert "No space left on device" in " ".join(result.reasons)


def test_a_failure_for_want_of_room_is_not_the_codes() -> None:
    """A call that is told of a full disk which no fault has made is no counterexample."""
    result = explored(raced(told_full), explain=False)
    assert result.verdict is Verdict.UNKNOWN
    assert "a call was told 'database or disk is full'" in " ".join(result.reasons)


def test_other_errors_are_not_taken_for_it() -> None:
    """Of the operating system's errors, those for want of room."""
    assert isinstance(disk_space.no_room("/nowhere", OSError(errno.EDQUOT, "x")), NoRoom)
    error = PermissionError(errno.EACCES, "x")
    assert disk_space.no_room("/nowhere", error) is error


def test_without_shared_memory_and_pinning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A missing ``/dev/shm`` is replaced by the temporary directory, and who may not pin is not pinned: races are found."""

    def forbidden(*_: object) -> None:
        raise PermissionError(errno.EPERM, "not permitted")

    monkeypatch.setattr(directories, "_MEMORY", tmp_path / "missing")
    monkeypatch.setattr(directories.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(pinning.os, "sched_setaffinity", forbidden)
    assert directories.shared_directory().parent == tmp_path
    result = explored(raced(two_transactions, at_end=(counts_to(2),)), explain=False)
    assert result.verdict is Verdict.INVALID
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_carries_what_was_done() -> None:
    """The executions until then, with a verdict that claims nothing; and every process is gone."""

    def interrupts(progress: Progress) -> None:
        if progress.executions:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        explored(raced(two_transactions), scheduler="random", progress=interrupts)
    result = caught.value.result
    assert (result.verdict, result.executions, result.scheduler) == (Verdict.UNKNOWN, 50, "random")
    assert result.reasons[0].startswith("It was interrupted.")
