"""What a worker knows of its sessions with PostgreSQL: what a statement touched, and whether it waits for somebody's lock.

The server itself says who waits, as PostgreSQL's isolation tester asks it: ``pg_blocking_pids``, and who waits for a safe
snapshot.
"""

from __future__ import annotations

import math
import re
import select
from collections.abc import Callable, Iterable
from typing import Any

from harness.postgres.link import Link
from harness.worker.clock import Clock
from harness.worker.instrument.postgres_statements import Effect, effect
from harness.worker.runtime import Aborted, Runtime

__all__ = ["LOCKS", "NOTIFIED", "Session", "Sessions", "TimedOut"]

LOCKS, NOTIFIED = "postgresql", "postgresql notifications"
"""What everybody waits for whom the server has wait, and what who listens does."""
DATA, ROWS, TABLES = "data:postgresql", "lock:postgresql", "lock:postgresql tables"
_ASKED_EVERY = 0.0005
"""Seconds to wait for an answer before the server is asked whether the session waits."""

_NOTIFYING = "SELECT EXISTS (SELECT FROM pg_proc WHERE oid >= 16384 AND prosrc ILIKE '%notify%')"
_WAITS = """
WITH RECURSIVE ahead(pid) AS (
  SELECT unnest(pg_blocking_pids($1::int) || pg_safe_snapshot_blocking_pids($1::int))
  UNION SELECT unnest(pg_blocking_pids(pid)) FROM ahead
) SELECT count(*) > 0 AND NOT coalesce(bool_or(pid = $1::int), false) FROM ahead
"""
"""Who waits for itself does not wait for anybody to go on: the server will soon say that it is a deadlock."""
GREETING = """
SELECT {}, current_setting('lock_timeout'), current_setting('statement_timeout'), current_setting('transaction_isolation')
"""
"""What a session is asked when it is first seen; from then on its randomness is the execution's."""


class TimedOut(Exception):
    """A statement has waited as long as the session's ``lock_timeout`` (else ``statement_timeout``) allows, in virtual time."""

    def __init__(self, for_a_lock: bool) -> None:
        self.for_a_lock = for_a_lock
        super().__init__(f"canceling statement due to {'lock' if for_a_lock else 'statement'} timeout")


class Session:
    """One connection. ``pid`` is the server's process for it.

    ``cancel()`` has the server cancel what it runs, ``finish()`` ends it.

    ``serializable``: reads may matter; ``wrote``, ``excludes``: what its transaction has done; ``lock_timeout`` and
    ``statement_timeout`` are virtual seconds, 0 for none; ``open``: whether it is in a transaction; ``may_notify``: functions
    of the database do; ``tells``: its transaction has notified somebody, or called what may; ``keeps``: it may have a
    lock until it is closed.
    """

    __slots__ = (
        "cancel",
        "excludes",
        "finish",
        "keeps",
        "lock_timeout",
        "may_notify",
        "open",
        "pid",
        "serializable",
        "statement_timeout",
        "tells",
        "wrote",
    )

    def __init__(self, pid: int, cancel: Callable[[], Any], finish: Callable[[], Any]) -> None:
        self.pid, self.cancel, self.finish = pid, cancel, finish
        self.serializable = self.wrote = self.excludes = self.open = False
        self.may_notify = self.tells = self.keeps = False
        self.lock_timeout = self.statement_timeout = 0.0

    def greeted(
        self, seeded: bytes | None, lock: bytes | None, statement: bytes | None, isolation: bytes | None
    ) -> None:
        """Take in the answer to ``GREETING``."""
        self.lock_timeout, self.statement_timeout = _seconds(lock), _seconds(statement)
        self.serializable |= isolation == b"serializable"

    def patience(self) -> float:
        """Return for how many virtual seconds it waits for a lock."""
        return min((each for each in (self.lock_timeout, self.statement_timeout) if each), default=math.inf)


class Sessions:
    """The sessions that this worker has open."""

    def __init__(self, runtime: Runtime, clock: Clock) -> None:
        self._runtime, self._clock = runtime, clock
        self._open: dict[int, Session] = {}
        self._server: Link | None = None
        self._url = self._url_raced = ""
        self._count = 0
        self._notifying: bool | None = None

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
        """Know *session* from now on; return what is to be the seed of its randomness."""
        self._open[session.pid] = session
        if self._notifying is None:
            with Link(self._url_raced) as link:
                self._notifying = link.ask(_NOTIFYING)[0][0] == b"t"
        session.may_notify = self._notifying
        self._runtime.news.append(("session", session.pid))
        self._count += 1
        return (self._count * 0.137) % 1.0

    def clean(self) -> None:
        """The execution is over: end what was left open."""
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
        """The session with *pid* has been closed from here: tell what that touched."""
        session = self._open.pop(pid, None)
        if session is not None and (session.wrote or session.excludes or session.keeps):
            self._tell(((ROWS, "w"), (TABLES, "w")))
            self._runtime.news.append(("released", LOCKS))

    # Statements

    def waits(self, pid: int) -> bool:
        """Ask the server whether the session with *pid* waits for another one."""
        assert self._server is not None
        return self._server.ask(_WAITS, str(pid))[0][0] == b"t"

    def wait(self, session: Session, ready: Callable[[float], bool]) -> None:
        """Return when ``ready(seconds)``, which waits so long for the server's answer, says that it has come.

        Meanwhile let others go on, where the server has *session* wait for them. Raises ``TimedOut`` where that took too long
        in virtual time, ``Aborted`` where the execution is over; then the server has been told to cancel.
        """
        deadline = math.inf
        told = False
        while not ready(_ASKED_EVERY):
            if not self._runtime.controlled or not self.waits(session.pid) or ready(0):
                continue
            if not told:
                # Its snapshot is taken, and its place in the queue.
                self._tell(((DATA, "r"), (ROWS, "w")))
                deadline, told = self._clock.now + session.patience(), True
            if not self._runtime.block((LOCKS,), deadline):
                session.cancel()
                if self._runtime.aborting:
                    raise Aborted
                raise TimedOut(session.lock_timeout == session.patience())

    def did(self, session: Session, sql: str, after: bool, failed: bool) -> None:
        """Tell what the statement *sql* touched; *after*: whether a transaction is open now."""
        what = effect(sql)
        session.serializable |= what.serializable
        session.keeps |= what.keeps
        session.open = after
        self._clock.read = True
        if what.real_time:
            self._runtime.news.append(
                ("note", f"{what.word} asks the server for the time by a word that can't be virtual")
            )
        session.tells |= what.notifies or (session.may_notify and not (what.reads or what.nothing))
        touched, releases = _touched(session, what, after, failed)
        self._tell(touched)
        if not after:
            if session.tells:
                self._runtime.released(NOTIFIED)
            session.wrote = session.excludes = session.tells = False
        if releases:
            self._runtime.news.append(("released", LOCKS))

    def heard(self) -> None:
        """Notifications have come."""
        self._tell(((DATA, "r"),))

    def _tell(self, touched: Iterable[tuple[str, str]]) -> None:
        for resource, mode in touched:
            self._runtime.touched(resource, mode)


_UNITS = {"": 0.001, "ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def _seconds(setting: bytes | None) -> float:
    """Return a time-out as ``current_setting`` gives it, in seconds."""
    found = re.fullmatch(r"(\d+)\s*([a-z]*)", (setting or b"0").decode())
    return int(found[1]) * _UNITS[found[2]] if found else 0.0


def _touched(session: Session, what: Effect, after: bool, failed: bool) -> tuple[tuple[tuple[str, str], ...], bool]:
    """Return what a statement touched, and whether that may have let somebody's lock go."""
    if what.nothing and not failed:
        return (), False
    if what.reads and not session.serializable:
        # In a transaction it keeps who locks whole tables out until the end.
        session.excludes |= after
        return ((DATA, "r"), (TABLES, "r")), False
    if what.ends and not failed:
        if not (session.wrote or session.serializable):
            return ((TABLES, "r"),) if session.excludes else (), session.excludes
        seen = (DATA, "w") if what.word not in ("ROLLBACK", "ABORT") else (DATA, "r")
        return (seen, (ROWS, "w"), (TABLES, "r")), True
    session.wrote = True
    tables = (TABLES, "w" if what.excludes_readers else "r")
    return ((DATA, "r" if after else "w"), (ROWS, "w"), tables), True
