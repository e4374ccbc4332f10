"""What a worker knows of its sessions with PostgreSQL: what a statement touched, and whether it waits for somebody's lock.

The server itself says who waits, as PostgreSQL's isolation tester asks it: ``pg_blocking_pids``, and who waits for a safe
snapshot. A session looks for a deadlock once, ``deadlock_timeout`` after it began to wait. Until it surely has, it is not
said to wait, so that who closes a circle is the one whose statement fails, whatever the machine is busy with.
"""

from __future__ import annotations

import math
import re
import select
from collections.abc import Callable, Generator
from typing import Any

from harness.postgres.link import Link
from harness.worker.instrument.postgres_statements import Effect, effect
from harness.worker.runtime import Aborted, Runtime

__all__ = ["LOCKS", "Session", "Sessions"]

LOCKS = "postgresql"
"""What everybody waits for whom the server has wait."""
_DATA, _ROWS, _TABLES = "data:postgresql", "lock:postgresql", "lock:postgresql tables"
_LOOKED_AFTER = 0.003
"""Seconds by the server's clock after which a session that waits has looked for a deadlock (at 1 ms)."""
_ASKED_EVERY = 1
"""Milliseconds to wait for an answer before the server is asked whether the session waits."""

_WAITS = """
SELECT (cardinality(pg_blocking_pids(a)) > 0 OR cardinality(pg_safe_snapshot_blocking_pids(a)) > 0)
  AND coalesce((SELECT clock_timestamp() - min(waitstart) FROM pg_locks WHERE pid = a AND NOT granted)
               > make_interval(secs => $2), cardinality(pg_safe_snapshot_blocking_pids(a)) > 0)
FROM (SELECT $1::int AS a) AS session
"""


class Session:
    """One connection. ``pid`` is the server's process for it; ``serializable`` that reads may matter; ``wrote`` what its transaction did."""

    __slots__ = ("excludes", "pid", "serializable", "wrote")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.serializable = self.wrote = self.excludes = False


class Sessions:
    """The sessions that this worker has open."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._open: dict[int, Session] = {}
        self._server: Link | None = None
        self._url = ""
        self.always_serializable = False

    def begin(self, url: str) -> None:
        """An execution over the database *url* begins."""
        self._open.clear()
        admin = re.sub(r"(//[^/]*/)[^?]*", r"\1postgres", url, count=1)
        if admin != self._url:
            self._url, self._server = admin, Link(admin)

    def session(self, pid: int) -> Session:
        """Return the session that the server's process *pid* serves."""
        known = self._open.get(pid)
        if known is None:
            known = self._open[pid] = Session(pid)
            self._runtime.news.append(("session", pid))
        return known

    def none(self) -> bool:
        """Whether no session is open."""
        return not self._open

    def closed(self, pid: int) -> None:
        """The session with *pid* has been closed from here: wait until the server has ended it, and tell what that touched."""
        session = self._open.pop(pid, None)
        while self._server is not None and self._server.ask("SELECT 1 FROM pg_stat_activity WHERE pid = $1", str(pid)):
            select.select([], [], [], 0.0003)
        if session is not None and (session.wrote or session.excludes):
            self._tell(((_ROWS, "w"), (_TABLES, "w")))
            self._runtime.news.append(("released", LOCKS))

    def waits(self, pid: int) -> bool:
        """Ask the server whether the session with *pid* waits for another one, and has looked for a deadlock."""
        assert self._server is not None
        return self._server.ask(_WAITS, str(pid), str(_LOOKED_AFTER))[0][0] == b"t"

    def drive(self, steps: Generator[int, int, Any], descriptor: int, pid: Callable[[], int]) -> Any:
        """Run *steps*, which yields what it waits for at *descriptor*, to its end; wait where the server does.

        *pid* gives the server's process. Returns what *steps* returns and raises what it raises.
        """
        poll, told = select.poll(), False
        try:
            wanted = next(steps)
            while True:
                poll.register(descriptor, (select.POLLIN if wanted & 1 else 0) | (select.POLLOUT if wanted & 2 else 0))
                ready = poll.poll(_ASKED_EVERY)
                if ready:
                    event = ready[0][1]
                    wanted = steps.send((1 if event & ~select.POLLOUT else 0) | (2 if event & select.POLLOUT else 0) & wanted)
                elif self._runtime.controlled and self.waits(pid()) and not poll.poll(0):
                    if not told:
                        # Its snapshot is taken and its place in the queue too.
                        self._tell(((_DATA, "r"), (_ROWS, "w")))
                        told = True
                    if not self._runtime.block((LOCKS,), math.inf):
                        raise Aborted
        except StopIteration as stop:
            return stop.value

    def did(self, session: Session, sql: str, after: bool, failed: bool) -> None:
        """Tell what the statement *sql* touched; *after*: whether a transaction is open now."""
        what = effect(sql)
        session.serializable |= what.serializable
        touched, releases = _touched(session, what, after, failed)
        self._tell(touched)
        if not after:
            session.wrote = session.excludes = False
        if releases:
            self._runtime.news.append(("released", LOCKS))

    def _tell(self, touched: tuple[tuple[str, str], ...]) -> None:
        for resource, mode in touched:
            self._runtime.touched(resource, mode)


def _touched(
    session: Session, what: Effect, after: bool, failed: bool
) -> tuple[tuple[tuple[str, str], ...], bool]:
    """Return what a statement touched, and whether that may have let somebody's lock go."""
    if what.nothing and not failed:
        return (), False
    if what.reads and not session.serializable:
        # In a transaction it keeps who locks whole tables out until the end.
        session.excludes |= after
        return ((_DATA, "r"), (_TABLES, "r")), False
    if what.ends and not failed:
        wrote = session.wrote or session.serializable
        if not wrote:
            return ((_TABLES, "r"),) if session.excludes else (), session.excludes
        seen = (_DATA, "w") if what.word not in ("ROLLBACK", "ABORT") else (_DATA, "r")
        return (seen, (_ROWS, "w"), (_TABLES, "r")), True
    session.wrote = True
    tables = (_TABLES, "w" if what.excludes_readers else "r")
    return ((_DATA, "r" if after else "w"), (_ROWS, "w"), tables), True
