"""One command of a gate, as a value, and its execution on a node: in a process of its own, which ends with the gate."""

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
"""The processes that run commands on this node, by the key of their gate."""
_halted: deque[str] = deque(maxlen=256)
"""The keys of the gates that ended last."""


class Command(NamedTuple):
    """A command line of ``harness``: the first of *arguments*, then *file* if there is one, then the other arguments.

    The command may take *seconds*. *output* is the folder for the counterexamples that it finds, empty if nothing is saved.
    *postgres* is the URL of a server, empty for the server in the node's own settings.
    """

    arguments: tuple[str, ...]
    seconds: float
    file: Path | None = None
    output: str = ""
    postgres: str = ""

    def line(self, parent: int, file: Path | None = None, output: str = "") -> list[str]:
        """Return all arguments for a child of the process *parent*; *file* and *output* replace the command's, if given."""
        kind, *others = self.arguments
        known = [str(file or self.file)] if self.file is not None else []
        folder = ["--output", output or self.output] if self.output else []
        return [kind, *known, *others, *folder, "--dies-with", str(parent), "--json"]

    def content(self) -> bytes:
        """Return the content of ``file``, because a node does not have that file; empty if there is none."""
        return self.file.read_bytes() if self.file is not None else b""


class Said(NamedTuple):
    """The result of a command: its output and errors, its exit code, and the files that it left, by name.

    An exit code below 0 is the negative number of the signal that ended the process.
    """

    output: bytes
    errors: bytes
    code: int
    files: dict[str, bytes]


def carry(parcel: bytes) -> Said:
    """Carry out the command in *parcel*, and return its result.

    *parcel* is a pickled tuple: the key of the gate, a hash seed, a ``Command``, and the content of its file.
    """
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
