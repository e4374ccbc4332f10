"""Describes an exception of the code under test: its text, made equal in each run, and the line that raised it."""

from __future__ import annotations

import re

from harness.worker.directory import without_directory
from harness.worker.source import Place, is_under_test

__all__ = ["raised_at", "said"]

_NUMBERS = re.compile(r"\b([Pp]rocess|transaction) \d[\d/]*\b")
"""The numbers in PostgreSQL's messages about deadlocks and blocked sessions, which differ in each run."""

_INSTALLED = "/site-packages/"


def said(error: BaseException) -> str:
    """Return the text of *error* without parts that differ in each run: the shared directory, numbers from a server.

    Returns an empty string where the error can't be turned into text.
    """
    try:
        return _NUMBERS.sub(r"\1 ...", without_directory(str(error)))
    except Exception:
        return ""


def raised_at(error: BaseException) -> Place | None:
    """Return the innermost line of the code under test that *error* went through.

    A line in an installed package is returned only if the error went through no other code under test.
    """
    found: Place | None = None
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        own = is_under_test(code) and _INSTALLED not in code.co_filename
        if own or (is_under_test(code) and (found is None or _INSTALLED in found[0])):
            found = code.co_filename, traceback.tb_lineno, code.co_qualname, ""
        traceback = traceback.tb_next
    return found
