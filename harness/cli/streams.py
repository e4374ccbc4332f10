"""Standard streams: open, able to write any text, and safe for CI systems that read commands from them."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TextIO

from harness.project import config

__all__ = ["discard_output", "make_usable", "workflow_commands_stopped"]

_NUMBERS = {"stdin": 0, "stdout": 1, "stderr": 2}


def make_usable() -> None:
    """Make sure that all three standard streams are open and can write any text.

    A stream that was closed (``>&-``) becomes one to ``/dev/null``, before another file gets its descriptor.
    """
    for name, number in _NUMBERS.items():
        if getattr(sys, name) is None:
            _reopen(number)
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115 -- for good
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def discard_output() -> None:
    """Send standard output to ``/dev/null`` from now on, so that Python's flush at exit does not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def workflow_commands_stopped(stream: TextIO) -> Iterator[None]:
    """Stop workflow commands in this context: GitHub Actions then takes lines that begin with ``::`` as plain text.

    The output contains names and messages of the code under test, which must not be obeyed as workflow commands. The
    command to stop goes to *stream*. The token that ends it is random, so that no printed text can contain it. (GitHub
    Docs, "Stopping and starting workflow commands".) Outside of GitHub Actions this does nothing.
    """
    if not config.under_actions():
        yield
        return
    token = secrets.token_hex(16)
    print(f"::stop-commands::{token}", file=stream, flush=True)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        print(f"::{token}::", file=stream, flush=True)


def _reopen(number: int) -> None:
    """Open ``/dev/null`` as file descriptor *number*."""
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
