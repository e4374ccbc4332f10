"""One command of a gate, as a value, and how a node carries it out: in a process of its own, which ends with the gate."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections import deque
from pathlib import Path
from typing import NamedTuple

from harness.project import config

__all__ = ["GRACE", "Command", "Said", "carry", "halt"]

GRACE = 30.0
"""Seconds beyond its budget that a command may take to start, confirm and shrink, before it is given up."""

_guard = threading.Lock()
_running: dict[str, set[subprocess.Popen[bytes]]] = {}
"""What this node is at, by the gate it is for."""
_halted: deque[str] = deque(maxlen=256)
"""Gates that have ended, lately."""


class Command(NamedTuple):
    """``harness`` with *arguments*: the first, then *file* if there is one, then the others. It may take *seconds*.

    *output* is the folder for what it finds, empty where nothing is saved; *postgres* the URL of a server,
    empty for what the node says.
    """

    arguments: tuple[str, ...]
    seconds: float
    file: Path | None = None
    output: str = ""
    postgres: str = ""

    def line(self, parent: int, file: Path | None = None, output: str = "") -> list[str]:
        """Return all arguments for a child of process *parent*, with another *file* and *output* if they are given."""
        kind, *others = self.arguments
        known = [str(file or self.file)] if self.file is not None else []
        folder = ["--output", output or self.output] if self.output else []
        return [kind, *known, *others, *folder, "--dies-with", str(parent), "--json"]

    def content(self) -> bytes:
        """Return the content of ``file``, which a node does not have."""
        return self.file.read_bytes() if self.file is not None else b""


class Said(NamedTuple):
    """A command's output and errors, its exit code (below 0: a signal's number), and the files that it left, by name."""

    output: bytes
    errors: bytes
    code: int
    files: dict[str, bytes]


def carry(parcel: bytes) -> Said:
    """Carry out the command in *parcel*: pickled the key of the gate, a hash seed, a ``Command``, the content of its file."""
    key: str
    command: Command
    key, hash_seed, command, content = pickle.loads(parcel)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / command.file.name if command.file is not None else None
        if file is not None:
            file.write_bytes(content)
        output = folder / "found"
        line = command.line(os.getpid(), file, str(output))
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "harness", *line],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=config.child_environment(hash_seed=hash_seed, postgres=command.postgres),
        )
        with _guard:
            _running.setdefault(key, set()).add(process)
            late = key in _halted
        if late:
            process.kill()
        try:
            said, errors = process.communicate(timeout=command.seconds + GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            said, errors = process.communicate()
        with _guard:
            _running[key].discard(process)
            if not _running[key]:
                del _running[key]
        if process.returncode not in (0, 1, 3):
            errors += f"\n(On {os.uname().nodename}: code must be installed on every node; none is sent.)".encode()
        found = {path.name: path.read_bytes() for path in output.glob("*.json")}
        return Said(said, errors, process.returncode, found)


def halt(key: str) -> None:
    """Kill the commands that this node runs for the gate *key*, which has ended."""
    with _guard:
        _halted.append(key)
        for process in _running.get(key, ()):
            process.kill()
