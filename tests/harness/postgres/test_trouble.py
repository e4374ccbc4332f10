"""Where the server can't be had, or ends in mid-run, that is said and nothing is claimed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from harness.control.run import run
from harness.errors import Unsupported
from harness.postgres import server
from harness.verdict import Verdict
from tests.harness.postgres.programs import counted, needs_server, statements

pytestmark = [pytest.mark.forks, needs_server]


def kills_the_server(db: Any) -> None:
    """Kill the server, and use it."""
    directory = Path(db.partition("host=")[2])
    with psycopg.connect(db, autocommit=True) as connection:
        os.kill(int((directory / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        while (directory / "postmaster.pid").exists():
            connection.execute("SELECT 1")
            time.sleep(0.001)


def test_a_killed_server_is_not_the_codes_failure() -> None:
    """What its sessions are told then is no counterexample."""
    result = run(counted(kills_the_server), max_executions=3, patience=3.0, explain=False)
    assert result.verdict is Verdict.UNKNOWN
    assert "server of this exploration has ended (exit code -9" in " ".join(result.reasons), result.reasons


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    with pytest.raises(Unsupported, match="extra 'postgres'"):
        run(counted(statements("SELECT 1")), max_executions=1)


def test_why_the_server_did_not_start_is_told_apart() -> None:
    """For want of room, or for want of a namespace."""
    full = str(server._failed("initdb", b"x" * 5000 + b": No space left on device"))
    assert "file system is full" in full
    assert "namespace" not in full
    assert len(full) < 1000
    assert "user namespace" in str(server._failed("initdb", b"Operation not permitted: unshare"))
