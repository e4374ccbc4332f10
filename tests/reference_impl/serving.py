"""The service as a server of its own: real processes behind a real socket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

PATIENCE = 30.0


@contextmanager
def running(directory: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """Run a server with two workers; yield its process and a client of it."""
    credentials = directory / "credentials"
    credentials.write_text("alice:secret\n")
    command = [
        sys.executable,
        "-m",
        "reference_impl",
        "--port",
        "0",
        "--workers",
        "2",
        "--credentials",
        str(credentials),
    ]
    command += ["--database", str(directory / "db"), *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            with httpx.Client(base_url=url, headers={"Authorization": "Bearer secret"}, timeout=PATIENCE) as http:
                yield process, http
        finally:
            # All of its group: workers outlive a supervisor that is killed.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
