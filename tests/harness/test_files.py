"""Files under control: right programs are valid, faulty ones invalid, and nothing is lost by pruning."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from pathlib import Path

import pytest

import harness
from harness import Check, Scenario, Verdict, Workload
from harness.control.run import run
from harness.faults import Faults
from tests.harness.counter import reduced_and_brute
from tests.harness.file_programs import MOMENT, PROGRAMS, Program, bump, counted, holding, set_up

pytestmark = pytest.mark.forks


def raced(program: Program, **options: object) -> Scenario:
    """Return two workers of *program*, which shall count to two."""
    return Scenario(
        name=str(program),
        setup=set_up,
        operations={"count": program.worker},
        workload=lambda workers: Workload.each("count", workers=workers),
        at_end=(Check("counts to two", lambda db: counted(db) == 2),),
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_each_program_is_judged_right(program: Program) -> None:
    """Two workers of each: valid and complete if it is right, else invalid."""
    result = run(raced(program), max_executions=1_000)
    expected = Verdict.VALID if program.correct else Verdict.INVALID
    assert (result.verdict, result.complete) == (expected, program.correct), result.reasons or result.counterexample


LONG_FOR_BRUTE = (
    "under_a_shared_flock", "looked_for_then_created", "one_temporary_name", "through_an_old_descriptor",
)  # fmt: skip
"""There trying everything takes more than 3,000 executions (tried by hand: the same outcomes)."""


@pytest.mark.slow
@pytest.mark.parametrize("program", [program for program in PROGRAMS if str(program) not in LONG_FOR_BRUTE], ids=str)
def test_pruning_loses_no_outcome(program: Program) -> None:
    """The reduced search finds the outcomes that trying everything finds, all files compared.

    Without delays, which are compared over smaller programs (``test_delays.py``).
    """
    reduced, brute = reduced_and_brute(raced(program, raising_fails=False, delays=0))
    assert reduced == brute


# --- locks ----------------------------------------------------------------------------------------


def crossing(db: Path, number: int) -> None:
    """Take two locks, each worker in its own order."""
    names = ("a", "b") if number else ("b", "a")
    with (db.parent / names[0]).open("w") as one, (db.parent / names[1]).open("w") as other:
        fcntl.flock(one, fcntl.LOCK_EX)
        fcntl.flock(other, fcntl.LOCK_EX)


def test_locks_taken_in_two_orders_are_a_deadlock() -> None:
    """No lock has a time-out, so no time helps; the very waiting is what is wrong."""
    result = harness.race(setup=set_up, worker=crossing, check=False)
    assert result.counterexample is not None
    assert result.counterexample.failure is not None
    assert result.counterexample.failure.kind == "deadlock"


def holds_and_bumps(db: Path) -> None:
    """Count under a lock, once."""
    with holding(db):
        bump(db)


def test_the_dead_hold_no_lock() -> None:
    """A worker killed under a lock lets it go: the other one goes on, and finds what was left half done."""
    result = harness.race(
        setup=set_up,
        worker=holds_and_bumps,
        kills=1,
        invariant=lambda db: (db.parent / "n").read_text() in ("1", "2"),
        check=False,
    )
    assert result.counterexample is not None  # killed between emptying the file and writing it
    assert [step.kind for step in result.counterexample.steps].count("kill") == 1
    assert (
        "invalid literal" in result.counterexample.failure.message or "False" in result.counterexample.failure.message
    )  # type: ignore[union-attr]


# --- faults, time, what is left -------------------------------------------------------------------


def writes(db: Path) -> str:
    """Write, and say what became of it."""
    try:
        (db.parent / "n").write_text("1")
    except OSError as error:
        return os.strerror(error.errno or 0)
    return "written"


def test_a_full_disk_and_a_broken_one_are_injected() -> None:
    """Opening for writing, and writing, can end with either error."""
    told = set()

    def note(history: harness.History, _: Path) -> bool:
        told.update(str(outcome.value) for outcome in history.outcomes())
        return True

    scenario = Scenario(
        name="writes",
        setup=set_up,
        operations={"writes": writes},
        workload=lambda _: Workload.each("writes", workers=1),
        workers=1,
        faults=Faults(errors=("full", "io"), most=1),
        postconditions=(Check("told", note),),
    )
    result = run(scenario, scheduler="exhaustive")
    assert result.complete
    assert told == {"written", "No space left on device", "Input/output error"}


def takes_over(db: Path) -> None:
    """Wait for a lock file, but not longer than ten seconds after it was made: then its owner must be dead."""
    lock = db.parent / "lock"
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
            break
        except FileExistsError:
            made = lock.stat().st_mtime
            if time.time() - made > 10:
                lock.unlink(missing_ok=True)
            else:
                time.sleep(MOMENT * 30)
    bump(db)
    lock.unlink(missing_ok=True)


def test_file_times_are_virtual() -> None:
    """Who waits for a lock file to become old waits no real time, and a dead owner's is taken over."""
    scenario = Scenario(
        name="takes over",
        setup=set_up,
        operations={"takes_over": takes_over},
        workload=lambda workers: Workload.each("takes_over", workers=workers),
        raising_fails=False,
        faults=Faults(kill=True, most=1),
        must_happen=(
            Check("time passed", lambda history, _: any(event.now > 10 for event in history)),
            Check("all went well", lambda history, _: all(outcome.ok for outcome in history.outcomes())),
        ),
    )
    result = run(scenario, max_executions=60)
    assert result.verdict is Verdict.VALID, result.reasons
    assert result.seconds < 60 * 10


def leaves_open(db: Path) -> None:
    """Leave a descriptor with a lock."""
    descriptor = os.open(db.parent / "n", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def open_descriptors(_: Path) -> int:
    """Say how many this process has."""
    return len(os.listdir("/proc/self/fd"))


def test_what_is_left_open_does_not_pile_up() -> None:
    """Descriptors of one execution are gone in the next."""
    seen: list[int] = []

    def note(history: harness.History, _: Path) -> bool:
        seen.extend(int(str(outcome.value)) for outcome in history.outcomes("open_descriptors"))
        return True

    scenario = Scenario(
        name="leaves open",
        setup=set_up,
        operations={"leaves_open": leaves_open, "open_descriptors": open_descriptors},
        workload=lambda _: Workload(
            (harness.Client((harness.Call("open_descriptors"), harness.Call("leaves_open"))),), workers=1
        ),
        workers=1,
        postconditions=(Check("seen", note),),
    )
    result = run(scenario, scheduler="random", max_executions=10)
    assert result.executions == 10
    assert len(set(seen)) == 1


def test_directories_and_links_are_put_back() -> None:
    """What setup made is there in every execution, empty directories and symbolic links too."""

    def make(db: Path) -> None:
        (db.parent / "empty" / "inner").mkdir(parents=True)
        (db.parent / "link").symlink_to("empty")

    def undo(db: Path) -> None:
        os.rmdir(db.parent / "link" / "inner")
        os.rmdir(db.parent / "empty")
        os.unlink(db.parent / "link")

    gone = lambda db: not os.listdir(db.parent)  # noqa: E731
    assert harness.race(setup=make, worker=undo, workers=1, invariant=gone, scheduler="random", max_executions=3)


def copies(db: Path, number: int) -> None:
    """Copy the counter, its ends named in either way."""
    with (db.parent / "n").open("rb") as one, (db.parent / f"copy{number}").open("wb") as other:
        if number:
            os.sendfile(out_fd=other.fileno(), in_fd=one.fileno(), offset=0, count=9)
        else:
            os.copy_file_range(src=one.fileno(), dst=other.fileno(), count=9)


def test_a_copy_between_descriptors_is_one_step() -> None:
    """It reads one file and writes the other, however its arguments are given."""

    def copied(db: Path) -> bool:
        return [(db.parent / f"copy{number}").read_text() for number in (0, 1)] == ["0", "0"]

    result = harness.race(setup=set_up, worker=copies, invariant=copied)
    assert result.complete


def test_a_file_elsewhere_is_no_schedule_point(tmp_path: Path) -> None:
    """Only what lies in the shared directory is."""

    def reads(_: Path) -> None:
        Path("/proc/self/stat").read_text()
        os.stat("/")

    result = run(
        Scenario(
            name="elsewhere",
            setup=set_up,
            operations={"reads": reads},
            workload=lambda workers: Workload.each("reads", workers=workers),
        )
    )
    assert result.steps == 2 * result.executions


# --- finalizers -----------------------------------------------------------------------------------


class Held:
    """Makes a file, and looks for it when it is gone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def __del__(self) -> None:
        self.path.exists()


def test_an_execution_that_ends_in_a_finalizer_says_nothing(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker is unwound without a traceback on the terminal."""
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)  # pytest's own prints nothing
    scenario = Scenario(
        name="held",
        setup=lambda _: None,
        operations={"hold": lambda db: Held(db.with_name("held")) and None},
        workload=lambda workers: Workload.each("hold", workers=workers),
        invariants=(Check("no file", lambda db: not db.with_name("held").exists()),),
    )
    assert run(scenario, max_executions=10).verdict is Verdict.INVALID
    assert capfd.readouterr().err == ""
