"""Whoever kills the controller leaves nothing behind: no process, no directory."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.project import config
from tests.harness.counter import explored, raced
from tests.harness.sync_programs import autocommit_in_one

pytestmark = [pytest.mark.forks, pytest.mark.slow]

DURING, STARTING, SECONDS = 14, 6, 5.0

RUNS = """
from harness.control.run import run
from harness.faults import Faults
from tests.harness.counter import raced
from tests.harness.sync_programs import two_transactions

def say(progress):
    print(progress.executions, flush=True)

while True:
    print("begins", flush=True)
    run(raced(two_transactions, faults=Faults(kill=True, most=KILLS)), scheduler="brute", progress=say)
"""


def processes(mark: str) -> dict[int, str]:
    """Return the command lines of all processes that live and have *mark* in their environment."""
    found = {}
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdecimal() and mark.encode() in (process / "environ").read_bytes():
                found[int(process.name)] = (process / "cmdline").read_text()
        except OSError:
            continue
    return found


def directories(pid: int) -> list[Path]:
    """Return the shared directories that the controller *pid* made."""
    return list(Path("/dev/shm").glob(f"race-harness-{pid}-*"))


def in_time(holds: Callable[..., bool], *arguments: object) -> bool:
    """Return whether *holds* becomes true within some seconds."""
    deadline = time.monotonic() + SECONDS
    while not holds(*arguments):
        if time.monotonic() > deadline:
            return False
        select.select([], [], [], 0.01)
    return True


def killed(number: int, lines: int, seconds: float) -> int:
    """Kill a controller after so many lines of output and so many seconds, see all its processes end; return its pid."""
    name, value = "HARNESS_TEST_MARK", str(uuid.uuid4())
    mark = f"{name}={value}"
    controller = subprocess.Popen(
        [sys.executable, "-c", RUNS.replace("KILLS", str(number % 2))],
        env={**config.child_environment(), name: value},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert controller.stdout is not None
    try:
        for _ in range(lines):
            assert controller.stdout.readline()
        select.select([], [], [], seconds)
        before = len(processes(mark))
    finally:
        controller.kill()
        controller.wait()
        controller.stdout.close()
    gone = in_time(lambda: not processes(mark))
    for survivor in processes(mark):
        os.kill(survivor, signal.SIGKILL)
    assert before >= 1
    assert gone, f"a process lives on (try {number})"
    return controller.pid


def test_nothing_outlives_a_killed_controller() -> None:
    """Killed at different moments of its run: within five seconds all processes and directories are gone."""
    for number in range(DURING):
        pid = killed(number, lines=2 + number % 2, seconds=0.003 * number)
        assert in_time(lambda pid: not directories(pid), pid), f"a directory is left (try {number})"


def test_no_process_outlives_a_controller_killed_while_it_starts() -> None:
    """Killed before its first execution, it may leave a directory, but not for longer than until the next run."""
    pids = [killed(number, lines=1, seconds=0.01 * number) for number in range(STARTING)]
    assert explored(raced(autocommit_in_one)).executions
    assert not [left for pid in pids for left in directories(pid)]


def test_the_marks_are_seen() -> None:
    """The way in which processes are looked for finds one that is there."""
    name = "HARNESS_TEST_MARK"
    value = str(uuid.uuid4())
    with subprocess.Popen([sys.executable, "-c", "input()"], env={**os.environ, name: value}, stdin=subprocess.PIPE):
        assert in_time(lambda: len(processes(f"{name}={value}")) == 1)
    assert processes(f"{name}={value}") == {}


DRAINS = """
import os
from harness.control.testbed import forkserver
read_end, write_end = os.pipe()
os.write(write_end, b"an order")
os.close(write_end)
forkserver._drain(read_end)
"""


def test_an_ended_pipe_is_drained_once() -> None:
    """A fork server whose controller dies just after it asked for a fork does not wait for more from it."""
    subprocess.run([sys.executable, "-c", DRAINS], env=config.child_environment(), check=True, timeout=2)


SERVES_NOBODY = """
import os, sys
from pathlib import Path
from harness.control.testbed import forkserver
from harness.boundary.inherited_locks import Common, Inherited
from harness.boundary.virtual_ids import ProcessIds
from harness.boundary.clock_readings import Readings
from harness.boundary.wire import Peer
from harness.worker.page_copies import look
from tests.harness.counter import raced
orders, reports = os.pipe(), os.pipe()
common = Common(Inherited(), ProcessIds(1), Readings())
unneeded = [orders[1], reports[0]]
forkserver.serve(
    Peer(orders[0], reports[1]), [], raced(print),
    common=common, seen=look(), roles=(), directory=Path(sys.argv[1]), unneeded=unneeded,
)
"""


def test_a_controller_killed_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    """A fork server that nobody hears any more removes the directory and ends its group, itself too, without a word."""
    directory = tmp_path / "shared"
    directory.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SERVES_NOBODY, str(directory)],
        env=config.child_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")
    assert not directory.exists()
