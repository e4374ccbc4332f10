"""Tells errors from warnings in a server's standard error."""

from __future__ import annotations

import re

__all__ = ["errors_of", "last_lines"]

_ERROR = re.compile(
    r"^(?:Traceback \(most recent call last\)|.{0,60}\b(?:ERROR|CRITICAL|FATAL)\b|Exception ignored in|Fatal Python error)"
)
"""How a line begins that reports an error: Python's own reports, and a level as loggers print it."""

_MOST = 20
"""Lines that are kept."""


def errors_of(said: str) -> str:
    """Return *said* from its first line that reports an error, at most 20 lines; empty where there is none.

    Warnings are none: a server may log that it retries, or that a feature will go away.
    """
    lines = said.splitlines()
    first = next((number for number, line in enumerate(lines) if _ERROR.match(line)), None)
    return "" if first is None else "\n".join(lines[first : first + _MOST])


def last_lines(said: str) -> str:
    """Return the last 20 lines of *said*."""
    return "\n".join(said.splitlines()[-_MOST:])
