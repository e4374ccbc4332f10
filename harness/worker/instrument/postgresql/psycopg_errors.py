"""Errors that a statement of ``psycopg`` is made to end with.

The server itself raises them, so the transaction is as after a real one. SQLSTATE and text are those of PostgreSQL's
documentation (appendix A) and of its own messages.
"""

from __future__ import annotations

from typing import Any

from harness.boundary.wire import ERRORS
from harness.worker.instrument.postgresql.psycopg_generators import Asked
from harness.worker.instrument.postgresql.reading import effect
from harness.worker.instrument.postgresql.timeouts import TimedOut

__all__ = ["INJECTED", "errors_of", "injected", "timed_out"]

INJECTED = frozenset(ERRORS.values())
"""The ways to let an operation go in which it does not run."""

_LOOKS = {
    "busy": ("55P03", "canceling statement due to lock timeout"),
    "full": ("53100", "could not extend file: No space left on device"),
    "io": ("58030", "could not read blocks: Input/output error"),
}
_REFUSED = "40001", "could not serialize access due to read/write dependencies among transactions"
"""What a COMMIT can end with in the place of ``busy``: it waits for nobody."""


def errors_of(sql: str) -> tuple[str, ...]:
    """Return the errors that the statement *sql* could end with."""
    what = effect(sql)
    if what.nothing or what.word in ("ROLLBACK", "ABORT", "RELEASE", "LISTEN", "UNLISTEN"):
        return ()
    return ("io",) if what.reads else ("busy", "full", "io")


def injected(how: int, asked: Asked) -> Exception:
    """Make the server fail in the way *how* instead of answering *asked*, and return the error."""
    from psycopg.errors import error_from_result

    name = next(error for error, number in ERRORS.items() if number == how)
    code, text = _LOOKS[name]
    connection: Any = asked.connection
    if effect(asked.sql).ends:
        # Nothing of the transaction is left.
        connection.exec_(b"ROLLBACK")
        code, text = _REFUSED if name == "busy" else (code, text)
    elif asked.begins:
        connection.exec_(b"BEGIN")
    raising = f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}', MESSAGE = '{text}'; END $$"
    return error_from_result(connection.exec_(raising.encode()))


def timed_out(late: TimedOut, canceled: Any) -> Exception:
    """Return the error of a time-out that has passed in virtual time, for which the server *canceled* the statement."""
    from psycopg import errors
    from psycopg.pq import DiagnosticField

    told = {field: getattr(canceled.diag, field.name.lower(), None) for field in DiagnosticField}
    told |= {DiagnosticField.SQLSTATE: late.sqlstate, DiagnosticField.MESSAGE_PRIMARY: str(late)}
    info = {field: None if value is None else value.encode() for field, value in told.items()}
    text = str(canceled).replace("canceling statement due to user request", str(late))
    kind: Any = errors.lookup(late.sqlstate)
    error: Exception = kind(text, info=info)
    return error
