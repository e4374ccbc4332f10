"""Whoever kills the controller leaves nothing behind: no process, no directory."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import config

pytestmark = [pytest.mark.forks, pytest.mark.slow]

TIMES, SECONDS = 20, 5.0

RUNS = """
from harness.control.run import run
from tests.harness.counter import raced
from tests.harness.sync_programs import implicit_transaction

def say(progress):
    print(progress.executions, flush=True)

while True:
    print("begins", flush=True)
    run(raced(implicit_transaction, kills=KILLS), scheduler="brute", progress=say)
"""


def processes(mark: str) -> list[str]:
    """Return the command lines of all processes that live and have *mark* in their environment."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdecimal() and mark.encode() in (process / "environ").read_bytes():
                found.append(f"{process.name} {(process / 'cmdline').read_text()!r}")
        except OSError:
            continue
    return found


def in_time(holds: Callable[[], bool]) -> bool:
    """Return whether *holds* becomes true within some seconds."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        if time.monotonic() > deadline:
            return False
        select.select([], [], [], 0.01)
    return True


def test_nothing_outlives_a_killed_controller() -> None:
    """Killed at twenty different moments: within five seconds all processes and directories are gone."""
    for number in range(TIMES):
        mark = f"HARNESS_TEST_MARK={uuid.uuid4()}"
        name, value = mark.split("=")
        controller = subprocess.Popen(
            [sys.executable, "-c", RUNS.replace("KILLS", str(number % 2))],
            env={**config.child_environment(), name: value},
            stdout=subprocess.PIPE,
        )
        try:
            assert controller.stdout is not None
            for _ in range(1 + number // 2 % 4):
                assert controller.stdout.readline()
            if number % 2:
                # Somewhere between two lines of output, each time a little later.
                select.select([], [], [], 0.007 * number)
            before = len(processes(mark))
        finally:
            controller.kill()
            controller.wait()
            controller.stdout.close()
        assert before >= 1
        assert in_time(lambda mark=mark: not processes(mark)), processes(mark)
        left = f"race-harness-{controller.pid}-*"
        assert in_time(lambda left=left: not list(Path("/dev/shm").glob(left))), list(Path("/dev/shm").glob(left))


def test_the_marks_are_seen() -> None:
    """The way in which processes are looked for finds one that is there."""
    name = "HARNESS_TEST_MARK"
    value = str(uuid.uuid4())
    with subprocess.Popen([sys.executable, "-c", "input()"], env={**os.environ, name: value}, stdin=subprocess.PIPE):
        assert in_time(lambda: len(processes(f"{name}={value}")) == 1)
    assert processes(f"{name}={value}") == []
