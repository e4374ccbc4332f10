"""The PostgreSQL sessions of a worker: the accesses of each statement, and its waits for locks of others.

The server itself tells which sessions wait, as PostgreSQL's isolation tester asks it: by ``pg_blocking_pids``, and by
the sessions that wait for a safe snapshot.
"""

from __future__ import annotations

import re
import select
from collections.abc import Callable, Iterable
from typing import Any

from harness.boundary import messages
from harness.postgres.link import Link
from harness.worker.instrument.postgresql.reading import Effect, effect
from harness.worker.instrument.postgresql.timeouts import TimedOut, Timeouts, passed_in_reality
from harness.worker.runtime import Aborted, Runtime
from harness.worker.virtual.clock import Clock

__all__ = ["LOCKS", "NOTIFIED", "Session", "Sessions"]

LOCKS, NOTIFIED = "postgresql", "postgresql notifications"
"""The resources that a blocked statement and a task that listens wait for."""
DATA, ROWS, TABLES = "data:postgresql", "lock:postgresql", "lock:postgresql tables"
CLOCK = "clock:postgresql"
_ASKED_EVERY = 0.0005
"""Seconds to wait for an answer before the server is asked whether the session waits."""

_FUNCTIONS = """
SELECT coalesce(bool_or(prosrc ILIKE '%notify%'), false),
  coalesce(bool_or(concat(prosrc, proconfig) ILIKE ANY ('{%\\_timeout%,%set\\_config%}')), false)
FROM pg_proc WHERE oid >= 16384 AND pronamespace <> 'pg_catalog'::regnamespace
"""
_AWAITED = "SELECT l::text FROM pg_locks l WHERE pid = $1::int AND NOT granted"
_WAITS = """
WITH RECURSIVE ahead(pid) AS (
  SELECT unnest(pg_blocking_pids($1::int) || pg_safe_snapshot_blocking_pids($1::int))
  UNION SELECT unnest(pg_blocking_pids(pid)) FROM ahead
) SELECT count(*) > 0 AND NOT coalesce(bool_or(pid = $1::int), false) FROM ahead
"""
"""Whether a session waits for others. One in a circle with itself is not counted: the server will soon report a deadlock."""


class Session:
    """One connection. ``pid`` is the server's process for it.

    ``cancel()`` has the server cancel what it runs, ``finish()`` ends it.

    ``serializable``: reads may matter; ``wrote``, ``excludes``: what its transaction has done; ``timeouts``: how long it may
    wait; ``open``: whether it is in a transaction; ``may_notify``, ``may_set``: functions of the database do, notify or set
    time-outs; ``tells_time``: its statement reads the clock; ``tells``: its transaction has notified somebody, or called what
    may; ``keeps``: it may have a lock until it is closed.
    """

    __slots__ = (
        "cancel",
        "excludes",
        "finish",
        "keeps",
        "may_notify",
        "may_set",
        "open",
        "pid",
        "serializable",
        "tells",
        "tells_time",
        "timeouts",
        "wrote",
    )

    def __init__(self, pid: int, cancel: Callable[[], Any], finish: Callable[[], Any]) -> None:
        self.pid, self.cancel, self.finish = pid, cancel, finish
        self.serializable = self.wrote = self.excludes = self.open = False
        self.may_notify = self.may_set = self.tells = self.tells_time = self.keeps = False
        self.timeouts = Timeouts()

    def greeted(self, *told: bytes | None) -> str:
        """Take in the answer to ``GREETING``; return the SQL that has the server's own clock end nothing, empty for none."""
        *timeouts, isolation = told
        self.serializable |= isolation == b"serializable"
        return self.timeouts.learn(timeouts, self.open)


class Sessions:
    """The sessions that this worker has open."""

    def __init__(self, runtime: Runtime, clock: Clock) -> None:
        self._runtime, self._clock = runtime, clock
        self._open: dict[int, Session] = {}
        self._server: Link | None = None
        self._url = self._url_raced = ""
        self._count = 0
        self._functions: tuple[bool, bool] | None = None

    def begin(self, url: str) -> None:
        """An execution over the database *url* begins."""
        self._open.clear()
        self._count, self._url_raced = 0, url
        admin = re.sub(r"(//[^/]*/)[^?]*", r"\1postgres", url, count=1)
        if admin != self._url:
            self._url, self._server = admin, Link(admin)

    # Sessions come and go

    def known(self, pid: int) -> Session | None:
        """Return the session that the server's process *pid* serves, if it has been seen."""
        return self._open.get(pid)

    def opened(self, session: Session) -> float:
        """Register *session*; return the seed of its randomness, from 0 to 1."""
        self._open[session.pid] = session
        if self._functions is None:
            with Link(self._url_raced) as link:
                ((notify, set_timeouts),) = link.ask(_FUNCTIONS)
            self._functions = notify == b"t", set_timeouts == b"t"
        session.may_notify, session.may_set = self._functions
        self._runtime.news.append(messages.session(session.pid))
        self._count += 1
        return (self._count * 0.137) % 1.0

    def clean(self) -> None:
        """Finish the sessions that the execution left open."""
        for session in self._open.values():
            session.finish()
        self._open.clear()

    def none(self) -> bool:
        """Whether no session is open."""
        return not self._open

    def in_transaction(self) -> list[str]:
        """Return a description of every session that is still in a transaction."""
        return [f"session {number}" for number, session in enumerate(self._open.values(), 1) if session.open]

    def await_end(self, pid: int) -> None:
        """Wait until the server has ended the session with *pid*, which has said goodbye."""
        while self._server is not None and self._server.ask("SELECT 1 FROM pg_stat_activity WHERE pid = $1", str(pid)):
            select.select([], [], [], 0.0003)

    def closed(self, pid: int) -> None:
        """Report the accesses of closing the session with *pid* from here."""
        session = self._open.pop(pid, None)
        if session is not None and (session.wrote or session.excludes or session.keeps):
            self._tell(((ROWS, "w"), (TABLES, "w")))
            self._runtime.news.append(messages.released(LOCKS))

    # Statements

    def waits(self, pid: int) -> bool:
        """Ask the server whether the session with *pid* waits for another one."""
        assert self._server is not None
        return self._server.ask(_WAITS, str(pid))[0][0] == b"t"

    def begins(self, session: Session, sql: str = "") -> None:
        """*session* is about to run the statement *sql*, or to end."""
        session.tells_time = effect(sql).tells_time
        if (why := session.timeouts.begin(self._clock.now, session.open)) and self._runtime.controlled:
            self._runtime.fail(why)

    def wait(self, session: Session, ready: Callable[[float], bool]) -> None:
        """Return when ``ready(seconds)``, which waits so long for the server's answer, says that it has come.

        Meanwhile let others go on, where the server has *session* wait for them. Raises ``TimedOut`` where that took too long
        in virtual time, ``Aborted`` where the execution is over; then the server has been told to cancel.
        """
        told = False
        while not ready(_ASKED_EVERY):
            if not self._runtime.controlled or not self.waits(session.pid) or ready(0):
                continue
            if not told:
                # Its snapshot is taken, and its place in the queue.
                self._tell(((DATA, "r"), (ROWS, "w"), (CLOCK, "w" if session.tells_time else "r")))
                told = True
            if session.timeouts.lock:
                session.timeouts.waits_for(self._awaited(session.pid), self._clock.now)
            if not self._runtime.block((LOCKS,), session.timeouts.deadline()):
                session.cancel()
                if self._runtime.aborting:
                    raise Aborted
                if why := session.timeouts.ended():
                    self._runtime.fail(why)
                raise TimedOut(session.timeouts.for_a_lock())

    def _awaited(self, pid: int) -> object:
        """Return which lock the session with *pid* waits for."""
        assert self._server is not None
        return self._server.ask(_AWAITED, str(pid))

    def passed_in_reality(self, sqlstate: str | None, text: str) -> None:
        """The server has ended a statement by itself: that was its own clock, if it says that it was a time-out."""
        if self._runtime.controlled and passed_in_reality(sqlstate, text):
            self._runtime.fail(
                f"a time-out has passed in real time ({text}), which has nothing to do with the schedule: it was set where the "
                "harness does not see it, in a function or in one text with the statement that waited. Set it in a statement "
                "of its own"
            )

    def did(self, session: Session, sql: str, after: bool, failed: bool) -> None:
        """Report the accesses of the statement *sql*; *after*: whether a transaction is open now."""
        what = effect(sql)
        session.serializable |= what.serializable
        session.keeps |= what.keeps
        session.open = after
        session.timeouts.did(
            self._clock.now, after, what.sets_timeout or (session.may_set and not (what.reads or what.nothing))
        )
        self._clock.read = True
        if what.real_time:
            self._runtime.news.append(
                messages.note(f"{what.word} asks the server for the time by a word that can't be virtual")
            )
        if "pg_sleep" in sql.lower():
            self._runtime.news.append(messages.note("pg_sleep passes in real time, and no virtual time passes in it"))
        session.tells |= what.notifies or (session.may_notify and not (what.reads or what.nothing))
        touched, releases = _touched(session, what, after, failed)
        self._tell(touched)
        if what.tells_time:
            self._tell(((CLOCK, "w"),))
        if not after:
            if session.tells:
                self._runtime.released(NOTIFIED)
            session.wrote = session.excludes = session.tells = False
        if releases:
            self._runtime.news.append(messages.released(LOCKS))

    def heard(self) -> None:
        """Notifications have come."""
        self._tell(((DATA, "r"),))

    def _tell(self, touched: Iterable[tuple[str, str]]) -> None:
        for resource, mode in touched:
            self._runtime.touched(resource, mode)


def _touched(session: Session, what: Effect, after: bool, failed: bool) -> tuple[tuple[tuple[str, str], ...], bool]:
    """Return the accesses of a statement, and whether it may have released a lock that others wait for."""
    if what.nothing and not failed:
        return (), False
    if what.reads and not session.serializable:
        # In a transaction it keeps out, until the end, every statement that locks whole tables.
        session.excludes |= after
        return ((DATA, "r"), (TABLES, "r")), False
    if what.ends and not failed:
        if not (session.wrote or session.serializable):
            return ((TABLES, "r"),) if session.excludes else (), session.excludes
        seen = (DATA, "w") if what.word not in ("ROLLBACK", "ABORT") else (DATA, "r")
        return (seen, (ROWS, "w"), (TABLES, "r")), True
    session.wrote = True
    tables = (TABLES, "w" if what.excludes_readers else "r")
    # A default may have read the clock, which has moved it. So have other writes, but they are in each other's way already.
    return ((DATA, "r" if after else "w"), (ROWS, "w"), (CLOCK, "r"), tables), True
