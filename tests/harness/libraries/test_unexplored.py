"""What no schedule decides is met at run time, and named; and nothing of it is left behind."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness.scenario import Check
from harness.verdict import Verdict
from tests.harness.counter import explored, raced

pytestmark = pytest.mark.forks

MESSAGES: multiprocessing.SimpleQueue[int] = multiprocessing.SimpleQueue()


def puts(_: Path) -> None:
    """Say something to another process."""
    MESSAGES.put(1)


def waits(_: Path) -> None:
    """Wait for what another process says."""
    MESSAGES.get()


def in_a_pool(_: Path) -> None:
    """Have another process do it."""
    with ProcessPoolExecutor(1) as pool:
        pool.submit(abs, -1).result()


async def connects(_: Path) -> None:
    """Wait for somebody at the other end of a socket."""
    await asyncio.open_connection("127.0.0.1", 9)


async def starts(_: Path) -> None:
    """Wait for a process."""
    await asyncio.create_subprocess_exec("true")


@pytest.mark.parametrize(
    ("worker", "said"),
    [
        (puts, "send_bytes on a pipe of multiprocessing"),
        (waits, "recv_bytes on a pipe of multiprocessing"),
        (in_a_pool, "multiprocessing (a Queue, Pipe, Manager or Pool)"),
        (connects, "create_connection of asyncio"),
        (starts, "subprocess_exec of asyncio"),
    ],
)
def test_where_it_could_matter_nothing_is_claimed(worker: Callable[[Path], Any], said: str) -> None:
    """The verdict is unknown and says why."""
    result = explored(raced([worker]))
    assert result.verdict is Verdict.UNKNOWN
    assert said in result.reasons[0]


def uses_a_socket(_: Path) -> None:
    """Ask for something over the network."""
    with socket.socket() as end:
        end.connect_ex(("127.0.0.1", 9))


def runs_a_program(_: Path) -> None:
    """Run one, and wait for it."""
    os.system("true")


@pytest.mark.parametrize(
    ("worker", "said", "name"),
    [
        (uses_a_socket, "connected a socket to 127.0.0.1:9 at test_unexplored.py:", "socket:127.0.0.1:9"),
        (runs_a_program, "started the program true at test_unexplored.py:", "process:true"),
    ],
)
def test_what_goes_on_outside_makes_it_unknown_unless_it_is_allowed(
    worker: Callable[[Path], None], said: str, name: str
) -> None:
    """The reason has the line, and the name by which it can be allowed."""
    result = explored(raced([worker]))
    assert result.verdict is Verdict.UNKNOWN
    assert said in result.reasons[0]
    assert f'allows=("{name}",)' in result.reasons[0]
    again = explored(raced([worker], allows=(name,)))
    assert again.verdict is Verdict.VALID
    assert again.allowed == (name,)


def leaves_a_program(_: Path) -> int:
    """Run one, and don't wait."""
    return subprocess.Popen(["sleep", "600"]).pid


def test_programs_left_running_end_with_the_run() -> None:
    """Whoever started them is gone."""
    left: set[int] = set()
    note = Check("left", lambda history, _: left.update(int(str(each.value)) for each in history.outcomes()) is None)
    result = explored(raced([leaves_a_program], postconditions=(note,), allows=("process:sleep",)))
    assert left, result.reasons
    assert not [pid for pid in left if Path("/proc", str(pid)).exists() and " Z " not in _status(pid)]


def _status(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text()
