"""Measurements in a fresh interpreter with a time limit. Besides this file, only `jobs.py` starts processes, by forking."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Outcome:
    """The result of a child: the last JSON object that it printed, or None, and how the child ended."""

    answer: dict[str, Any] | None
    seconds: float
    capped: bool
    errors: str


def run_child(module: str, arguments: Sequence[str], *, cap: float, python: str = sys.executable) -> Outcome:
    """Run `python -m module arguments`; kill it after `cap` seconds, together with all processes that it started."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    started = time.perf_counter()
    # Files, not pipes: a grandchild that outlives the child must not be able to keep us waiting.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen(
            [python, "-m", module, *arguments],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        capped = False
        try:
            child.wait(cap)
        except subprocess.TimeoutExpired:
            capped = True
        finally:
            _kill_session(child)
        seconds = time.perf_counter() - started
        out.seek(0)
        err.seek(0)
        return Outcome(_last_object(out.read()), seconds, capped, err.read())


@contextmanager
def fresh_folder() -> Iterator[Path]:
    """Make an empty folder, yield it and remove it; in memory where possible, so that the disk is not measured."""
    parent = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="race-benchmark-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _kill_session(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)  # its own session: nothing but what it started
    child.wait()


def _last_object(text: str) -> dict[str, Any] | None:
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            try:
                found = json.loads(line)
            except json.JSONDecodeError:
                continue
            return found if isinstance(found, dict) else None
    return None
