"""A real server with real worker processes, seen from outside: its start, its address, its processes, its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from random import Random
from types import TracebackType

import httpx

from harness.errors import BadInput
from harness.project import config

__all__ = ["Server"]

_STARTS, _ENDS = 30.0, 15.0
_OLDEST = 0, 51
"""The oldest version of uvicorn with a supervisor that finds the server by itself."""
_POLL = 0.05


class Server:
    """uvicorn with *workers* processes over the database *db*; use it as a context.

    *scenario* and *variant* are names for ``registry.find``. Raises ``BadInput`` if uvicorn is missing or too old, or if the
    server does not start.
    """

    def __init__(self, scenario: str, variant: str, db: Path, *, workers: int) -> None:
        _check_uvicorn()
        self._workers, self.url = workers, ""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by __exit__
        command = [sys.executable, "-P", "-m", "harness.stress.serve", scenario, variant, str(db), str(workers)]
        self._process = subprocess.Popen(
            [*command, str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=config.child_environment(),
            start_new_session=True,  # SIGINT goes to this process alone, which ends the server
        )

    def __enter__(self) -> Server:
        try:
            assert self._process.stdout is not None
            self.url = self._process.stdout.readline().decode().strip()
            deadline = time.monotonic() + _STARTS
            while not self._answers():
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise BadInput(f"The server did not start. It said:\n{self.said() or '(nothing)'}")
                time.sleep(_POLL)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _answers(self) -> bool:
        """Return whether a worker answers a request, with any status, and all workers are there."""
        try:
            httpx.get(self.url, timeout=_STARTS)
        except (httpx.TransportError, httpx.UnsupportedProtocol):
            return False
        return len(self.pids()) == self._workers

    def pids(self) -> list[int]:
        """Return the ids of the worker processes that exist now."""
        with suppress(OSError):
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            return [int(child) for child in children if _serves(child)]
        return []

    def kill_one(self, random: Random) -> bool:
        """Kill one worker, chosen by *random*, with SIGKILL; uvicorn replaces it. Return False if there was none to kill."""
        pids = self.pids()
        if not pids:
            return False
        with suppress(ProcessLookupError):
            os.kill(random.choice(pids), signal.SIGKILL)
            return True
        return False

    def stop(self) -> str:
        """End the server with SIGTERM, as an operator would; return a description of an unclean end, or an empty string."""
        self._process.terminate()
        try:
            code = self._process.wait(_ENDS)
        except subprocess.TimeoutExpired:
            return f"The server did not end within {_ENDS:g} s of SIGTERM."
        return "" if code == 0 else f"The server ended with exit code {code} at SIGTERM."

    def said(self) -> str:
        """Return the standard error of the server and its workers so far."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip()

    def _end(self) -> None:
        self._process.kill()  # its workers die with it
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()


def _serves(pid: str) -> bool:
    """Return whether the process *pid* is a worker, and not the helper that ``multiprocessing`` brings."""
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _check_uvicorn() -> None:
    """Raise ``BadInput`` if uvicorn is not installed, or too old to find its server by itself."""
    try:
        found = version("uvicorn")
    except PackageNotFoundError:
        found = ""
    if tuple(int(part) for part in re.findall(r"\d+", found)[:2]) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise BadInput(
            f"An uncontrolled run needs uvicorn {oldest} or newer; {f'there is {found}' if found else 'there is none'}. "
            "Install the extra: pip install 'race-harness[stress]'."
        )
