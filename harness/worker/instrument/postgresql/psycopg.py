"""Schedule points in ``psycopg`` 3, sync and async: where it waits for the server, all that it sends passes.

Everything that a connection says to the server is a generator that yields when it would wait (``psycopg.waiting``). The
statement is what the generator was made with. Async connections say it in a strand of its own each, so that the other
tasks of the worker can go on meanwhile.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from harness.boundary import messages
from harness.worker.controlled_threads import Wanted
from harness.worker.instrument.postgresql.psycopg_errors import INJECTED, errors_of, injected, timed_out
from harness.worker.instrument.postgresql.psycopg_generators import (
    ACTIVE,
    IDLE,
    IN_ERROR,
    IN_TRANSACTION,
    Asked,
    asked_by,
    waiter,
)
from harness.worker.instrument.postgresql.psycopg_kept import Kept
from harness.worker.instrument.postgresql.sessions import NOTIFIED, Session, Sessions
from harness.worker.instrument.postgresql.timeouts import GREETING, TOLD, TimedOut
from harness.worker.runtime import Runtime
from harness.worker.source import Place, where
from harness.worker.virtual.rebind import Replacement

__all__ = ["Psycopg", "replacements"]


class Psycopg:
    """Replaces ``psycopg.waiting.wait``, ``wait_async`` and ``wait_conn_async``."""

    def __init__(self, runtime: Runtime, sessions: Sessions, kept: Kept, waiting: Any) -> None:
        self._runtime, self._sessions = runtime, sessions
        self._wait, self._wait_conn = waiting.wait, waiting.wait_conn
        self._kept = kept
        self._under_way: dict[int, asyncio.Future[Any]] = {}

    @property
    def _ours(self) -> bool:
        return self._runtime.controlled or self._runtime.aborting

    # Sync connections

    def wait(self, gen: Any, fileno: int, *args: Any, **options: Any) -> Any:
        """Stand in for ``psycopg.waiting.wait``, at a schedule point."""
        asked = asked_by(gen)
        if asked is None or not self._ours or self._runtime.strand() is None:
            return self._wait(gen, fileno, *args, **options)
        place = where(2)
        if asked.kind == "notify":
            return self._hear(gen, asked, place, _deadline(self._runtime.clock.now, args, options), lambda: False)
        return self._run(gen, fileno, asked, self._park(asked, place))

    def close(self, connection: Any, close: Callable[[Any], Any]) -> Any:
        """Close *connection* by *close*, at a schedule point; return when the server has ended the session."""
        pid = _pid(connection)
        if not pid or self._runtime.strand() is None:
            return close(connection)
        if self._runtime.controlled:
            self._runtime.park("close", "close", "", where(3))
        return self._closed(connection, close, pid)

    def _closed(self, connection: Any, close: Callable[[Any], Any], pid: int) -> Any:
        value = None
        if (session := self._sessions.known(pid)) is not None:
            self._sessions.begins(session)
        if not self._kept.keep(connection):
            value = close(connection)
            self._sessions.await_end(pid)
        self._sessions.closed(pid)
        return value

    def lost(self, connection: Any) -> None:
        """*connection* is gone without having been closed: that ends its session too."""
        if hasattr(connection, "pgconn") and (pid := _pid(connection)) and self._sessions.known(pid) is not None:
            self._closed(connection, lambda it: it.pgconn.finish(), pid)

    # Async connections

    async def wait_async(self, gen: Any, fileno: int, *args: Any, **options: Any) -> Any:
        """Stand in for ``psycopg.waiting.wait_async``, at a schedule point."""
        if (future := self._under_way.get(id(gen))) is not None:
            # The task was cancelled and now waits for the server to have heard of it.
            return await asyncio.shield(future)
        asked = asked_by(gen)
        if asked is None or not self._ours:
            # Before and after the race no schedule decides, so it really waits.
            return self._wait(gen, fileno, 0.1)
        place, stages = where(2), _Stages()
        if asked.kind == "notify":
            until = _deadline(self._runtime.clock.now, args, options)
            work: Callable[[], Any] = partial(self._hear, gen, asked, place, until, lambda: stages.dropped)
        else:
            work = partial(self._run_unless_dropped, gen, fileno, asked, place, stages)
        future = asyncio.get_running_loop().run_in_executor(None, work)
        self._under_way[id(gen)] = future
        future.add_done_callback(lambda _: self._under_way.pop(id(gen), None))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if not stages.begun:
                # Nothing was sent, and nothing will be.
                stages.dropped = True
                self._under_way.pop(id(gen), None)
                if asked.kind == "notify":
                    self._runtime.released(NOTIFIED)
            raise

    def _run_unless_dropped(self, gen: Any, fileno: int, asked: Asked, place: Place | None, stages: _Stages) -> Any:
        how = self._park(asked, place)
        if stages.dropped:
            return None
        stages.begun = True
        return self._run(gen, fileno, asked, how)

    async def wait_conn_async(self, gen: Any, *args: Any, **options: Any) -> Any:
        """Stand in for ``psycopg.waiting.wait_conn_async``, to connect and to cancel: at once, as neither is raced."""
        return self._wait_conn(gen, 0.1)

    async def close_async(self, connection: Any, close: Callable[[Any], Any]) -> Any:
        """The same as ``close``, where *close* is a coroutine function that waits for nothing."""
        pid = _pid(connection)
        if not pid:
            return await close(connection)
        if not self._runtime.controlled:
            return self._closed(connection, lambda it: _at_once(close(it)), pid)
        place = where(3)

        def run() -> None:
            self._runtime.park("close", "close", "", place)
            self._closed(connection, lambda it: _at_once(close(it)), pid)

        return await asyncio.get_running_loop().run_in_executor(None, run)

    # What the server is told

    def _park(self, asked: Asked, place: Place | None) -> int:
        errors = errors_of(asked.sql) if self._runtime.asks_errors else ()
        return self._runtime.park(asked.kind, asked.sql, asked.detail, place, errors=errors)

    def _run(self, gen: Any, fileno: int, asked: Asked, how: int) -> Any:
        connection = asked.connection
        session = self._session(connection)
        session.serializable |= asked.serializable
        self._sessions.begins(session, asked.sql)
        failed = True
        try:
            if how in INJECTED:
                gen.close()
                raise injected(how, asked)
            value = self._drive(gen, fileno, session)
            failed = False
            return value
        except Exception as error:
            self._runtime.news.append(messages.error(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"))
            raise
        finally:
            after = connection.transaction_status in (ACTIVE, IN_TRANSACTION, IN_ERROR)
            self._sessions.did(session, asked.sql, after, failed)
            if session.timeouts.unsure and connection.transaction_status in (IDLE, IN_TRANSACTION):
                self._greet(connection, session, "NULL")

    def _drive(self, gen: Any, fileno: int, session: Session) -> Any:
        """Run *gen* to its end, and wait where the server has it wait."""
        ready = waiter(fileno)
        late: TimedOut | None = None
        try:
            ready.wanted = next(gen)
            while True:
                try:
                    if late is None:
                        self._sessions.wait(session, ready)
                    else:
                        ready(1.0)
                except TimedOut as passed:
                    late = passed
                    continue
                ready.wanted = gen.send(ready.found)
        except StopIteration as stop:
            return stop.value
        except Exception as error:
            from psycopg import errors

            if late is None or not isinstance(error, errors.QueryCanceled):
                self._sessions.passed_in_reality(getattr(error, "sqlstate", None), str(error))
                raise
            raise timed_out(late, error) from None

    def _hear(self, gen: Any, asked: Asked, place: Place | None, until: float, dropped: Callable[[], bool]) -> Any:
        """Wait for notifications, and return them; the server sends them with the answer to an empty statement."""
        runtime, connection = self._runtime, asked.connection
        gen.close()
        session = self._session(connection)
        wanted, again = Wanted(runtime.lane(), "notify", "wait for a notification", place, NOTIFIED, until), False
        while not dropped():
            connection.exec_(b"")
            found = []
            while (notification := connection.notifies()) is not None:
                found.append(notification)
                if connection.notify_handler:
                    connection.notify_handler(notification)
            if found:
                self._sessions.heard()
                return found
            if not runtime.wait_for(wanted, again):
                from psycopg import errors

                raise errors._WaitTimeout(f"session {session.pid}")
            again = True
        return []

    def _session(self, connection: Any) -> Session:
        session = self._sessions.known(connection.backend_pid)
        if session is None:
            session = Session(connection.backend_pid, partial(_cancel, connection), connection.finish)
            seed = self._sessions.opened(session)
            if connection.transaction_status == IDLE:
                self._greet(connection, session, f"setseed({seed!r})")
        return session

    def _greet(self, connection: Any, session: Session, seed: str) -> None:
        if not connection.pipeline_status:
            answer = connection.exec_(GREETING.format(seed).encode())
            if away := session.greeted(*(answer.get_value(0, column) for column in range(1, TOLD))):
                connection.exec_(away.encode())


class _Stages:
    """How far a statement of a task that may be cancelled has come."""

    def __init__(self) -> None:
        self.begun = self.dropped = False


def _deadline(now: float, args: tuple[Any, ...], options: dict[str, Any]) -> float:
    timeout = options.get("timeout", args[1] if len(args) > 1 else None)
    return math.inf if timeout is None else now + float(timeout)


def _cancel(connection: Any) -> None:
    with suppress(Exception):
        connection.get_cancel().cancel()


def _pid(connection: Any) -> int:
    """Return the server's process for *connection*, 0 where it is closed or goes back into a pool."""
    pool = getattr(connection, "_pool", None)
    if connection.closed or (pool is not None and getattr(pool, "close_returns", False)):
        return 0
    return int(connection.pgconn.backend_pid)


def _at_once(coroutine: Any) -> None:
    with suppress(StopIteration):
        coroutine.send(None)


def replacements(runtime: Runtime, sessions: Sessions) -> list[Replacement]:
    """Return the replacements that put the schedule points into ``psycopg``, if it has been imported."""
    waiting = sys.modules.get("psycopg.waiting")
    if waiting is None:
        return []
    import psycopg
    from psycopg import generators

    kept = Kept(generators)
    ours = Psycopg(runtime, sessions, kept, waiting)
    close, close_async = psycopg.Connection.close, psycopg.AsyncConnection.close

    def close_(connection: Any) -> Any:
        return ours.close(connection, close)

    def lost_(connection: Any) -> None:
        ours.lost(connection)

    async def close_async_(connection: Any) -> Any:
        return await ours.close_async(connection, close_async)

    return [
        Replacement(waiting.wait, ours.wait, waiting, "wait"),
        Replacement(waiting.wait_async, ours.wait_async, waiting, "wait_async"),
        Replacement(waiting.wait_conn_async, ours.wait_conn_async, waiting, "wait_conn_async"),
        Replacement(generators.connect, kept.connect, generators, "connect"),
        Replacement(
            psycopg._connection_base.BaseConnection.__del__, lost_, psycopg._connection_base.BaseConnection, "__del__"
        ),
        Replacement(close, close_, psycopg.Connection, "close"),
        Replacement(close_async, close_async_, psycopg.AsyncConnection, "close"),
    ]
