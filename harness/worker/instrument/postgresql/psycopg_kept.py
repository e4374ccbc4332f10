"""Keeps the server's sessions from one execution to the next: to begin one takes it longer than most executions.

A session that the code under test closes is rolled back and reset (``DISCARD ALL``), as a pooler would, and given to the next
connection with the same parameters. Only the server's process id tells it from a new one.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from harness.postgres.link import KEPT, TAKEN
from harness.worker.instrument.postgresql.psycopg_generators import ACTIVE, IDLE

__all__ = ["Kept"]

_COMMAND_OK, _TUPLES_OK = 1, 2


class Kept:
    """Sessions that are not in use, by their connection strings."""

    def __init__(self, generators: Any) -> None:
        self._connect = generators.connect
        self._idle: dict[str, list[Any]] = {}
        self._words: dict[int, str] = {}
        self._settings: dict[int, bytes | None] = {}
        self._closed: Any = None

    def connect(self, conninfo: str) -> Generator[Any, Any, Any]:
        """Stand in for ``psycopg.generators.connect``: reuse a kept session, or connect."""
        idle = self._idle.get(conninfo)
        while idle:
            connection = idle.pop()
            answer = connection.exec_(TAKEN.encode())
            if answer.status == _TUPLES_OK and answer.get_value(0, 0) == self._settings[connection.backend_pid]:
                return connection
            # The server has ended it, or a new one would have other settings.
            connection.finish()
        connection = yield from self._connect(conninfo)
        self._words[connection.backend_pid] = conninfo
        if connection.transaction_status == IDLE:
            self._settings[connection.backend_pid] = connection.exec_(TAKEN.encode()).get_value(0, 0)
        return connection

    def keep(self, connection: Any) -> bool:
        """Close the ``psycopg`` *connection* and keep its session; return False, and do nothing, where that can't be."""
        session = connection.pgconn
        words = self._words.get(session.backend_pid)
        if (
            words is None
            or session.backend_pid not in self._settings
            or session.transaction_status >= 4
            or session.transaction_status == ACTIVE
            or session.pipeline_status
        ):
            return False
        if session.transaction_status != IDLE:
            session.exec_(b"ROLLBACK")
        if session.exec_(b"DISCARD ALL").status != _COMMAND_OK:
            return False
        session.exec_(f"SET application_name = '{KEPT}'".encode())
        while session.notifies() is not None:
            pass
        session.notice_handler = session.notify_handler = None
        connection._closed = True
        connection.pgconn = self._dead()
        self._idle.setdefault(words, []).append(session)
        return True

    def _dead(self) -> Any:
        if self._closed is None:
            from psycopg.pq import PGconn

            self._closed = PGconn.connect_start(b"host=/ dbname=nobody")
            self._closed.finish()
        return self._closed
