"""Races in tests that pytest-xdist sends to another host: here a server in a folder of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

SOURCE = """
import sqlite3

import harness


def setup(db):
    with sqlite3.connect(db) as connection:
        connection.execute("CREATE TABLE counter (n)")
        connection.execute("INSERT INTO counter VALUES (0)")


def reads_and_adds(db):
    with sqlite3.connect(db) as connection:
        (n,) = connection.execute("SELECT n FROM counter").fetchone()
        connection.execute("UPDATE counter SET n = ?", (n + 1,))


def adds(db):
    with sqlite3.connect(db) as connection:
        connection.execute("UPDATE counter SET n = n + 1")


def both_count(db):
    return sqlite3.connect(db).execute("SELECT n FROM counter").fetchone() == (2,)


def test_lost():
    harness.race(setup=setup, worker=reads_and_adds, workers=2, invariant=both_count)


def test_right():
    harness.race(setup=setup, worker=adds, workers=2, invariant=both_count)
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until_it_listens(port: int, server: subprocess.Popen[bytes]) -> None:
    listening = f":{port:04X} 00000000:0000 0A"
    deadline = time.monotonic() + 60
    while listening not in Path("/proc/net/tcp").read_text():
        assert server.poll() is None, "the server has ended"
        assert time.monotonic() < deadline, "the server does not listen"
        time.sleep(0.05)


@pytest.mark.forks
def test_a_race_is_found_on_another_host(tmp_path: Path) -> None:
    """The report that comes back is the one that a race gives here."""
    here, there = tmp_path / "suite", tmp_path / "other host"
    here.mkdir()
    there.mkdir()
    (here / "test_counter.py").write_text(SOURCE)
    (here / "pytest.ini").write_text("[pytest]\n")
    port = _free_port()
    command = [sys.executable, "-W", "ignore", "-m", "execnet.script.socketserver", f"127.0.0.1:{port}"]
    server = subprocess.Popen(command, cwd=there, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _until_it_listens(port, server)
        where = f"socket=127.0.0.1:{port}//chdir={there}"
        asked = [sys.executable, "-m", "pytest", "-d", "--tx", where, "--rsyncdir", str(here), str(here)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        done = subprocess.run(asked, cwd=here, env=environment, capture_output=True, text=True, timeout=120)
    finally:
        server.kill()
        server.wait()
    assert (there / "suite" / "test_counter.py").exists(), done.stdout
    assert "1 failed, 1 passed" in done.stdout
    assert "Broken: at end 'both_count'" in done.stdout
    assert "Schedule: w0:c0*" in done.stdout
