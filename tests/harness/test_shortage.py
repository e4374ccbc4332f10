"""What the machine refuses is never laid to the code under test: unknown or refused, with the cause."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from harness.control.testbed import processes, shortage
from harness.control.testbed.shortage import Shortage, ascribed, told_of_shortage, without_descriptors
from harness.errors import Unsupported
from harness.values.history import Event
from harness.verdict import Verdict
from harness.worker import controlled_threads
from harness.worker.instrument.threads import real_threads
from tests.harness.counter import explored, raced
from tests.harness.sync_programs import autocommit_in_one


def no_thread(*_: object) -> None:
    """Fail as CPython does where the system gives no thread."""
    raise RuntimeError("can't start new thread")


no_thread.__name__ = "start"
"""By which the method that it stands for is replaced."""


def in_a_thread(db: Path) -> None:
    """Count in a thread of its own; where it gets none, count nothing."""
    started = threading.Thread(target=autocommit_in_one, args=(db,))
    try:
        started.start()
    except RuntimeError:
        return
    started.join()


def by_a_pool(db: Path) -> None:
    """Count by way of ``asyncio.to_thread``, whose threads the runtime lends."""
    import asyncio

    async def count() -> None:
        await asyncio.to_thread(autocommit_in_one, db)

    asyncio.run(count())


@pytest.mark.forks
@pytest.mark.parametrize(("module", "work"), [(real_threads, in_a_thread), (controlled_threads, by_a_pool)])
def test_no_thread_to_be_had(monkeypatch: pytest.MonkeyPatch, module: Any, work: Callable[[Path], None]) -> None:
    """A worker that gets no thread makes the run unknown, even where the code under test copes in its own way."""
    monkeypatch.setattr(module, "_start", no_thread)
    result = explored(raced(work))
    assert result.verdict is Verdict.UNKNOWN
    assert "gives it no further thread" in result.reasons[0]


def told_no_thread(_: Path) -> None:
    """Be told by a library below Python that there is no thread."""
    raise RuntimeError("can't start new thread")


def told_no_file(_: Path) -> None:
    """Be told that no file can be opened."""
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.mark.forks
@pytest.mark.parametrize("work", [told_no_thread, told_no_file])
def test_a_failure_for_want_of_something_is_not_the_codes(work: Callable[[Path], None]) -> None:
    """A call that is told of a shortage is no counterexample."""
    result = explored(raced(work), explain=False)
    assert result.verdict is Verdict.UNKNOWN
    assert "the machine is short of it" in result.reasons[0]


def test_other_errors_are_not_taken_for_a_shortage() -> None:
    """A lock that is taken says EAGAIN too."""
    taken = Event(
        "fail", "c0", 0, 0, "op", (), 1, 0.0, "[Errno 11] Resource temporarily unavailable", "BlockingIOError"
    )
    assert told_of_shortage([taken]) == ""
    with pytest.raises(FileNotFoundError), ascribed("a file"):
        os.stat("/nowhere/at/all")


KEPT: list[Any] = []


def hoards(db: Path) -> None:
    """Open files until a database can't be opened any more."""
    with suppress(OSError):
        while True:
            KEPT.append(os.open(os.devnull, os.O_RDONLY))
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("SELECT 1 FROM counter")


@contextmanager
def at_most(files: int) -> Iterator[None]:
    """Let this process, and those that it starts, have so many *files* open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.forks
def test_no_descriptor_left_in_a_worker() -> None:
    """SQLite only says that it can't open the file; that the worker has none left is seen from outside."""
    with at_most(len(os.listdir("/proc/self/fd")) + 60):
        result = explored(raced(hoards), explain=False)
    assert result.verdict is Verdict.UNKNOWN
    assert "may be for lack of a descriptor" in result.reasons[0]


def test_no_descriptor_for_the_harness() -> None:
    """Too few for an exploration is refused before anything runs."""
    with (
        at_most(len(os.listdir("/proc/self/fd")) + 4),
        pytest.raises(Shortage, match=r"EMFILE Too many open files.*ulimit -n"),
    ):
        explored(raced(autocommit_in_one))


def test_a_process_with_descriptors_left_has_them() -> None:
    """This one has some; one that is gone is not asked."""
    assert without_descriptors([os.getpid(), 4_194_305]) == ""


def again(*_: object) -> int:
    """Fail as a fork does at the limit of processes."""
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


@pytest.mark.forks
@pytest.mark.parametrize(
    ("forks", "what"),
    [(0, "that forks the workers"), (1, "for setup"), (2, "for worker 0"), (3, "for worker 1")],
)
def test_no_process_to_be_had(monkeypatch: pytest.MonkeyPatch, forks: int, what: str) -> None:
    """Whichever fork is refused, the run is, with the cause; nothing stays behind (see conftest)."""
    left, fork = [forks], os.fork

    def fewer() -> int:
        left[0] -= 1
        return fork() if left[0] >= 0 else again()

    monkeypatch.setattr(os, "fork", fewer)
    with pytest.raises(Shortage, match=rf"refused a process {what} \(EAGAIN.*ulimit -u"):
        explored(raced(autocommit_in_one))


@pytest.mark.forks
def test_no_process_in_mid_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork that is refused later makes the run unknown, with what was counted."""
    left, fork = [6], os.fork

    def fewer() -> int:
        left[0] -= 1
        return fork() if left[0] >= 0 else again()

    monkeypatch.setattr(os, "fork", fewer)
    result = explored(raced(autocommit_in_one), isolation="fork", scheduler="brute")
    assert result.verdict is Verdict.UNKNOWN
    assert "The system refused a process for worker" in result.reasons[0]


@pytest.mark.parametrize("name", ["pidfd_open", "memfd_create"])
def test_a_kernel_without_what_is_needed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A sandbox that forbids a system call is named, as is the call."""

    def forbidden(*_: object) -> int:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, name, forbidden)
    with pytest.raises(Unsupported, match=rf"{name}.*sandbox"):
        explored(raced(autocommit_in_one))


def kills_itself(_: Path) -> None:
    """End as the kernel ends a process for lack of memory."""
    os.kill(os.getpid(), 9)


@pytest.mark.forks
def test_a_worker_killed_for_want_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel counts one more such kill, the death of a worker is not the schedule's."""
    counts = iter(range(1_000))
    monkeypatch.setattr(processes, "oom_kills", lambda: next(counts))
    result = explored(raced(kills_itself), explain=False)
    assert result.verdict is Verdict.UNKNOWN
    assert "killed by the system for lack of memory" in result.reasons[0]


def test_the_kernel_counts_its_kills() -> None:
    """The count is a number, whatever the kernel."""
    assert shortage.oom_kills() >= 0
