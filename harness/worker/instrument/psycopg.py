"""Schedule points in ``psycopg`` 3, sync and async: where it waits for the server, all that it sends passes.

Everything that a connection says to the server is a generator that yields when it would wait (``psycopg.waiting``). The
statement is what the generator was made with.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Any, NamedTuple

from harness.worker.instrument.postgres import Sessions
from harness.worker.instrument.statements import shown
from harness.worker.rebind import Replacement
from harness.worker.runtime import Runtime
from harness.worker.source import where

__all__ = ["Psycopg", "replacements"]

_IDLE, _ACTIVE, _IN_TRANSACTION, _IN_ERROR = range(4)
_SERIALIZABLE = 4


class _Asked(NamedTuple):
    """What a generator will say to the server, through which ``PGconn``."""

    kind: str
    sql: str
    detail: str
    connection: Any
    serializable: bool = False


class Psycopg:
    """What stands in the place of ``psycopg.waiting.wait`` and ``wait_async``."""

    def __init__(self, runtime: Runtime, sessions: Sessions, wait: Any, wait_async: Any) -> None:
        self._runtime, self._sessions = runtime, sessions
        self._wait, self._wait_async = wait, wait_async

    def wait(self, gen: Any, fileno: int, *args: Any, **options: Any) -> Any:
        """Do what ``psycopg.waiting.wait`` does, at a schedule point."""
        asked = _asked(gen)
        if asked is None or not (self._runtime.controlled or self._runtime.aborting):
            return self._wait(gen, fileno, *args, **options)
        self._runtime.park(asked.kind, asked.sql, asked.detail, where(2))
        return self._run(gen, fileno, asked)

    async def wait_async(self, gen: Any, fileno: int, *args: Any, **options: Any) -> Any:
        """Do what ``psycopg.waiting.wait_async`` does, at a schedule point: in a strand of its own, as others may go meanwhile."""
        asked = _asked(gen)
        if asked is None or not (self._runtime.controlled or self._runtime.aborting):
            # What comes before and after the race is nobody's to wait for.
            return self._wait(gen, fileno, 0.1)
        place = where(2)

        def run() -> Any:
            self._runtime.park(asked.kind, asked.sql, asked.detail, place)
            return self._run(gen, fileno, asked)

        return await asyncio.get_running_loop().run_in_executor(None, run)

    def _run(self, gen: Any, fileno: int, asked: _Asked) -> Any:
        connection = asked.connection
        session = self._sessions.session(connection.backend_pid)
        session.serializable |= asked.serializable
        failed = True
        try:
            value = self._sessions.drive(gen, fileno, lambda: session.pid)
            failed = False
            return value
        except Exception as error:
            self._runtime.news.append(("error", f"{type(error).__name__}: {_first_line(error)}"))
            raise
        finally:
            after = connection.transaction_status in (_ACTIVE, _IN_TRANSACTION, _IN_ERROR)
            self._sessions.did(session, asked.sql, after, failed)

    def close(self, connection: Any, close: Any) -> Any:
        """Do what *close* does to *connection*, at a schedule point; return when the server has ended the session."""
        pid = _pid(connection)
        if not pid or not self._runtime.controlled:
            return close(connection)
        self._runtime.park("close", "close", "", where(3))
        value = close(connection)
        self._sessions.closed(pid)
        return value

    async def close_async(self, connection: Any, close: Any) -> Any:
        """The same, where *close* is a coroutine function that waits for nothing."""
        pid = _pid(connection)
        if not pid or not self._runtime.controlled:
            return await close(connection)
        place = where(3)

        def run() -> Any:
            self._runtime.park("close", "close", "", place)
            _at_once(close(connection))
            self._sessions.closed(pid)

        return await asyncio.get_running_loop().run_in_executor(None, run)


def _pid(connection: Any) -> int:
    """Return the server's process for *connection*, 0 where it is closed or goes back into a pool."""
    pool = getattr(connection, "_pool", None)
    if connection.closed or (pool is not None and getattr(pool, "close_returns", False)):
        return 0
    return int(connection.pgconn.backend_pid)


def _at_once(coroutine: Any) -> None:
    with suppress(StopIteration):
        coroutine.send(None)


def _close_at_a_point(psycopg: Any, ours: Psycopg) -> None:
    """Put schedule points into the closing of connections, which says goodbye below all that waits."""
    close, close_async = psycopg.Connection.close, psycopg.AsyncConnection.close

    def close_(connection: Any) -> Any:
        return ours.close(connection, close)

    async def close_async_(connection: Any) -> Any:
        return await ours.close_async(connection, close_async)

    psycopg.Connection.close, psycopg.AsyncConnection.close = close_, close_async_


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _asked(gen: Any) -> _Asked | None:
    """Return what *gen* is about to say; None where it says nothing or is no generator of a connection's."""
    frame = getattr(gen, "gi_frame", None)
    if frame is None:
        return None
    name, known = gen.gi_code.co_name, frame.f_locals
    if name.startswith("_set_"):
        return None
    owner = known.get("self")
    connection = getattr(owner, "_conn", None) or owner
    pgconn = getattr(connection, "pgconn", None) or known.get("pgconn")
    if pgconn is None or pgconn.status != 0:
        return None
    idle = pgconn.transaction_status == _IDLE
    serializable = idle and getattr(connection, "isolation_level", None) == _SERIALIZABLE
    if name in ("_commit_gen", "_rollback_gen"):
        word = "COMMIT" if name == "_commit_gen" else "ROLLBACK"
        return None if idle else _Asked(word.lower(), word, "", pgconn)
    if name == "_enter_gen":
        return _Asked("sql", "BEGIN" if idle else "SAVEPOINT", "", pgconn, serializable)
    if name == "_exit_gen":
        fails = known.get("exc_type") is not None or getattr(owner, "force_rollback", False)
        outer = getattr(owner, "_outer_transaction", True)
        word = ("ROLLBACK" if fails else "COMMIT") if outer else ("ROLLBACK TO SAVEPOINT" if fails else "RELEASE")
        return _Asked("rollback" if fails else "commit", word, "", pgconn)
    if (query := known.get("query", known.get("statement", known.get("command")))) is not None:
        return _Asked("sql", _text(query, connection), shown(known.get("params", known.get("params_seq"))), pgconn, serializable)
    return _Asked("sql", name.strip("_").removesuffix("_gen"), "", pgconn)


def _text(query: Any, connection: Any) -> str:
    if isinstance(query, bytes):
        return query.decode(errors="replace")
    if isinstance(query, str):
        return query
    as_string = getattr(query, "as_string", None)
    return str(as_string(connection)) if as_string is not None else str(query)


def replacements(runtime: Runtime, sessions: Sessions) -> list[Replacement]:
    """Return what puts the schedule points into ``psycopg``, where that has been imported."""
    waiting = sys.modules.get("psycopg.waiting")
    if waiting is None:
        return []
    ours = Psycopg(runtime, sessions, waiting.wait, waiting.wait_async)
    import psycopg

    _close_at_a_point(psycopg, ours)
    return [
        Replacement(waiting.wait, ours.wait, waiting, "wait"),
        Replacement(waiting.wait_async, ours.wait_async, waiting, "wait_async"),
    ]
