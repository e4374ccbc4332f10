"""Programs that misbehave: each ends with a verdict and a message that names the cause, and nothing is left behind."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import multiprocess
import pytest

from harness import Check, Scenario, Verdict, Workload
from harness.control.repeating.confirm import replay_once
from harness.control.repeating.shrink import Deviations
from harness.control.run import run
from harness.control.testbed.testbed import open_testbed
from harness.errors import Diverged
from harness.reports.text.summary import summary

pytestmark = pytest.mark.forks

PATIENCE = 0.5


def touch(db: Path) -> None:
    """Do something that is a step."""
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS t (n)")


def sleeps_in_c(db: Path) -> None:
    """Sleep where no Python is."""
    touch(db)
    ctypes.CDLL(None).sleep(60)


def waits_for_a_message(db: Path) -> None:
    """Wait for what never comes."""
    one, _other = socket.socketpair()
    touch(db)
    one.recv(1)


def stops(db: Path) -> None:
    """Stop itself."""
    touch(db)
    os.kill(os.getpid(), signal.SIGSTOP)


def forks(db: Path) -> None:
    """Have a child that returns as if it were the worker."""
    touch(db)
    os.fork()
    touch(db)


def crashes(db: Path) -> None:
    """Read where nothing is."""
    touch(db)
    ctypes.string_at(0)


def terminates(db: Path) -> None:
    """Be told to end, with the default for an answer."""
    touch(db)
    os.kill(os.getpid(), signal.SIGTERM)


def takes_all_memory(db: Path) -> None:
    """Want more than it may have."""
    touch(db)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    bytearray(1 << 34)


def recurses(db: Path) -> None:
    """Call itself."""
    recurses(db)


def kills_its_parent(db: Path) -> None:
    """Take the process away that forks the workers."""
    os.kill(os.getppid(), signal.SIGKILL)
    touch(db)


def catches_everything(db: Path) -> None:
    """Try again, whatever comes."""
    while True:
        try:
            touch(db)
            time.sleep(1)
        except BaseException:
            pass


class Odd:
    """What can't be pickled, and has no text."""

    def __reduce__(self) -> str:
        raise TypeError

    def __repr__(self) -> str:
        raise ValueError


def returns_oddities(db: Path) -> object:
    """Return what can't travel."""
    touch(db)
    return Odd(), lambda: 1


def speaks(db: Path) -> None:
    """Print, and ask for input."""
    print("HELLO FROM A WORKER")
    touch(db)


def runs_a_program(db: Path) -> None:
    """Have a program do something."""
    subprocess.run([sys.executable, "-c", ""], check=True)
    touch(db)


def scenario(worker: Callable[[Path], object], **options: object) -> Scenario:
    """Return two workers of that."""
    return Scenario(
        name=worker.__name__,
        setup=touch,
        operations={"work": worker},
        workload=lambda workers: Workload.each("work", workers=workers),
        **options,  # type: ignore[arg-type]
    )


def left() -> set[str]:
    """Return the directories of runs of this process."""
    return {entry.name for entry in Path("/dev/shm").glob(f"race-harness-{os.getpid()}-*")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("worker", "verdict", "cause"),
    [
        (sleeps_in_c, Verdict.UNKNOWN, "sleeps_in_c"),
        (waits_for_a_message, Verdict.UNKNOWN, "waits_for_a_message"),
        (stops, Verdict.UNKNOWN, "does not answer signals"),
        (forks, Verdict.UNKNOWN, "os.fork"),
        (crashes, Verdict.INVALID, "SIGSEGV"),
        (terminates, Verdict.INVALID, "SIGTERM"),
        (takes_all_memory, Verdict.INVALID, "MemoryError"),
        (recurses, Verdict.INVALID, "RecursionError"),
        (kills_its_parent, Verdict.UNKNOWN, "kill its parent"),
        (catches_everything, Verdict.INVALID, "have not ended"),
        (returns_oddities, Verdict.VALID, ""),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_it_ends_with_a_verdict_that_names_the_cause(
    worker: Callable[[Path], object], verdict: Verdict, cause: str
) -> None:
    """Whatever the worker does; and the directory is gone."""
    result = run(scenario(worker), max_executions=30, patience=PATIENCE)
    assert result.verdict is verdict
    failure = str(result.counterexample.failure) if result.counterexample is not None else ""
    assert cause in failure + " ".join(result.reasons)
    assert not left()


def raises(_: object) -> None:
    """Fail."""
    raise RuntimeError("no end to it")


def test_a_teardown_that_fails_is_no_pass() -> None:
    """What ``close`` raises makes the verdict unknown, and is said."""
    result = run(scenario(touch, open=lambda db: db, close=raises))
    assert result.verdict is Verdict.UNKNOWN
    assert "could not close its application: RuntimeError: no end to it" in result.reasons[0]


def test_what_a_rule_raises_is_said() -> None:
    """With its type and its line: nobody knows whether it holds."""
    result = run(scenario(touch, at_end=(Check("rule", raises),)))
    assert result.verdict is Verdict.UNKNOWN
    assert "The rule 'rule' raised RuntimeError" in result.reasons[0]
    assert "in raises" in result.reasons[0]


def test_a_program_in_a_process_of_its_own_is_named() -> None:
    """Nothing is claimed, unless the scenario allows it: then that is said instead."""
    result = run(scenario(runs_a_program))
    assert result.verdict is Verdict.UNKNOWN
    assert (
        f"started the program {Path(sys.executable).name} at {Path(__file__).name}:{_line(runs_a_program)}"
        in result.reasons[0]
    )
    allowed = run(scenario(runs_a_program, allows=("process:python*",)))
    assert allowed.verdict is Verdict.VALID
    assert "Complete, but for what it allows" in summary(allowed)


def _line(function: Callable[..., object]) -> int:
    return function.__code__.co_firstlineno + 2


def test_what_a_worker_prints_is_not_in_our_output(capfd: pytest.CaptureFixture[str]) -> None:
    """It goes where errors go, so that JSON stays JSON."""
    run(scenario(speaks), max_executions=2)
    out, err = capfd.readouterr()
    assert out == ""
    assert "HELLO FROM A WORKER" in err


def test_a_repetition_that_gets_stuck_says_why() -> None:
    """It ends before the recording does; that nobody can fork any more says more than that it departs."""
    hostile = scenario(touch)
    with open_testbed(hostile, 2, patience=PATIENCE) as stage:
        recorded = stage.driver.run(Deviations({}), hostile.workload(2))
        (server,) = multiprocess.active_children()
        server.kill()
        server.join()
        with stage.isolated(), pytest.raises(Diverged, match="kill its parent"):
            replay_once(stage, recorded)
