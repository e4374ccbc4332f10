"""PostgreSQL as a resource: sessions of ``psycopg`` and of asyncio clients such as ``asyncpg``."""

from __future__ import annotations

from harness.scenario import is_url
from harness.worker.instrument.postgresql import psycopg
from harness.worker.instrument.postgresql.sessions import Sessions
from harness.worker.instrument.postgresql.transport import Dialler
from harness.worker.instrument.resource import Beginning, Resource
from harness.worker.runtime import Runtime
from harness.worker.virtual.clock import Clock
from harness.worker.virtual.rebind import Replacement

__all__ = ["Postgresql"]


class Postgresql(Resource):
    """Sessions with the server, their transactions and time-outs."""

    def __init__(self, runtime: Runtime, clock: Clock) -> None:
        self._runtime = runtime
        self._sessions = Sessions(runtime, clock)
        self._dialler = Dialler(runtime, self._sessions)

    def replacements(self) -> list[Replacement]:
        """Return those for ``psycopg``, if it has been imported."""
        return psycopg.replacements(self._runtime, self._sessions)

    def begin(self, beginning: Beginning) -> None:
        """Know the database; only with one may asyncio clients connect."""
        if is_url(beginning.db):
            self._sessions.begin(beginning.db)
            self._runtime.dial = self._dialler.dial

    def left_open(self) -> list[str]:
        """Return the sessions that are still in a transaction."""
        return self._sessions.in_transaction()

    def none_left(self) -> bool:
        """Return whether no session is left."""
        return self._sessions.none()

    def clean(self) -> None:
        """Finish the sessions that were left open."""
        self._sessions.clean()
