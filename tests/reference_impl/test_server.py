"""``python -m reference_impl``: real processes, real sockets, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.reference_impl.serving import PATIENCE, running

pytestmark = [pytest.mark.forks, pytest.mark.slow]


def workers(process: subprocess.Popen[str]) -> list[int]:
    """Return the server's children that serve."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(child) for child in children if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]


@pytest.mark.parametrize("mode", ["wal", "delete", "postgres"])
def test_a_killed_worker_is_replaced_and_nothing_is_lost(
    request: pytest.FixtureRequest, tmp_path: Path, mode: str
) -> None:
    """Requests go on after SIGKILL of a worker, and SIGTERM ends all of it with exit code 0."""
    chosen = ("--journal-mode", mode)
    if mode == "postgres":
        chosen = ("--database", request.getfixturevalue("postgres_url"))
    with running(tmp_path, *chosen) as (process, http):
        first = http.post("/api/agents", json={"name": "Ada"}, headers={"Idempotency-Key": "k"})
        assert first.status_code == 201
        before = workers(process)
        os.kill(before[0], signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE
        while (now := workers(process)) == before or len(now) < 2:
            assert time.monotonic() < deadline, "the killed worker was not replaced"
            time.sleep(0.05)
        again = httpx.post(
            f"{http.base_url}/api/agents",
            json={"name": "Ada"},
            headers={"Authorization": "Bearer secret", "Idempotency-Key": "k"},
            timeout=PATIENCE,
        )
        assert (again.status_code, again.content) == (201, first.content)
        http.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert not [pid for pid in now if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "names nobody"), ("alice\n", "line 1"), (None, "No such file")],
    ids=["empty", "bad", "none"],
)
def test_credentials_that_cannot_be_used_are_refused(tmp_path: Path, content: str | None, said: str) -> None:
    """Exit code 2 and a word why, without a secret or a traceback."""
    if content is not None:
        (tmp_path / "credentials").write_text(content)
    command = [sys.executable, "-m", "reference_impl", "--credentials", str(tmp_path / "credentials")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
