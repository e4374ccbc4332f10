"""A command of the harness in a fork of this process, which has already imported the modules that take longest."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from typing import IO, NoReturn

from harness.project import config

__all__ = ["Forked", "can_fork"]


def can_fork() -> bool:
    """Return whether a fork is as good as a new process: no other thread, and the hash seed a new one would have."""
    return threading.active_count() == 1 and config.hash_seed() != "random"


class Forked:
    """``python -m harness`` with *arguments*, printing to the files *output* and *errors*; used like ``Popen``.

    It races over the PostgreSQL server at the URL *postgres*, if that is not empty.
    """

    def __init__(self, arguments: Sequence[str], output: IO[bytes], errors: IO[bytes], *, postgres: str = "") -> None:
        self.returncode: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            if postgres:
                config.use_postgres(postgres)
            _be_the_command(arguments, output, errors)

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self) -> int:
        """Wait until the command has ended, and return its exit code."""
        while (code := self.poll()) is None:
            time.sleep(0.001)
        return code

    def kill(self) -> None:
        """Kill the command if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def _be_the_command(arguments: Sequence[str], output: IO[bytes], errors: IO[bytes]) -> NoReturn:
    """Run the command in the child process, and exit without the parent's clean-up."""
    code = 70
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, place in enumerate((nothing, output.fileno(), errors.fileno())):
            os.dup2(place, number)
        sys.stdin, sys.stdout, sys.stderr = (open(number, mode, closefd=False) for number, mode in enumerate("rww"))  # noqa: SIM115
        from harness.cli.main import main

        code = main(list(arguments))
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(code)
