"""Tells errors from warnings in a server's standard error."""

from __future__ import annotations

import re

__all__ = ["errors_of", "last_lines"]

_ERROR = re.compile(
    r"^(?:Traceback \(most recent call last\)|.{0,60}\b(?:ERROR|CRITICAL|FATAL)\b|Exception ignored in|Fatal Python error)"
)
"""Matches the beginning of a line that reports an error: a report by Python itself, or a level as loggers print it."""

_MOST = 20
"""The number of lines that are kept."""


def errors_of(said: str) -> str:
    """Return at most 20 lines of *said*, from the first line that reports an error; empty if no line does.

    Warnings are no errors: a server may log that it retries, or that a feature will be removed.
    """
    lines = said.splitlines()
    first = next((number for number, line in enumerate(lines) if _ERROR.match(line)), None)
    return "" if first is None else "\n".join(lines[first : first + _MOST])


def last_lines(said: str) -> str:
    """Return the last 20 lines of *said*."""
    return "\n".join(said.splitlines()[-_MOST:])
