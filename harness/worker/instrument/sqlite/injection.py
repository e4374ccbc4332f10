"""Errors that a statement is made to end with: which ones SQLite could report there, and how they look.

What SQLite does to the transaction is in its documentation of result codes and of automatic rollback ("Response To Errors
Within A Transaction").
"""

from __future__ import annotations

import sqlite3

from harness.boundary.wire import ERRORS
from harness.worker.instrument.sqlite.native import NONE, READ
from harness.worker.instrument.sqlite.statements import Statement

__all__ = ["BUSY", "INJECTED", "errors_of", "errors_of_commit", "injected"]

BUSY = ERRORS["busy"]
INJECTED = frozenset(ERRORS.values())
"""The ways to let an operation go in which it does not run."""

_LOOKS = {
    "busy": (sqlite3.SQLITE_BUSY, "SQLITE_BUSY", "database is locked"),
    "full": (sqlite3.SQLITE_FULL, "SQLITE_FULL", "database or disk is full"),
    "io": (sqlite3.SQLITE_IOERR, "SQLITE_IOERR", "disk I/O error"),
}


def errors_of(about: Statement, state: int) -> tuple[str, ...]:
    """Return the errors that a statement could end with when its connection's transaction is in *state*."""
    if about.locks:
        return ("busy", "io") if state == NONE else ()
    if about.silent or about.rollback:
        return ()
    if about.reading:
        return ("busy", "io") if state == NONE else ("io",)
    return ("busy", "full", "io") if state in (NONE, READ) else ("full", "io")


def errors_of_commit(in_wal: bool) -> tuple[str, ...]:
    """Return the errors that a COMMIT could end with: over a write-ahead log it waits for nobody."""
    return ("full", "io") if in_wal else ("busy", "full", "io")


def injected(how: int) -> sqlite3.OperationalError:
    """Return the error for *how*, with its code and text as ``sqlite3`` gives them."""
    code, name, text = next(_LOOKS[error] for error, number in ERRORS.items() if number == how)
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode, error.sqlite_errorname = code, name
    return error
