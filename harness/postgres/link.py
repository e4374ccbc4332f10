"""A connection of the harness' own to the server, below ``psycopg``'s Python layer, so that it passes no schedule point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.errors import HarnessError, Unsupported

__all__ = ["KEPT", "TAKEN", "Link", "ServerSaid"]

KEPT = "race-harness kept"
"""The ``application_name`` of a session that waits for its next execution."""
TAKEN = (
    "RESET application_name; "
    "SELECT coalesce(pg_catalog.string_agg(ctid::text || xmin::text, ','), '') FROM pg_catalog.pg_db_role_setting"
)
"""The SQL that a kept session runs when code connects. Its answer differs if settings of roles or databases have changed."""

_SETTINGS = {
    # Settings that the code under test makes for a database or a role must not affect the harness, and values must be read
    # exactly.
    "lock_timeout": "0", "statement_timeout": "0", "idle_in_transaction_session_timeout": "0", "idle_session_timeout": "0",
    "transaction_timeout": "0", "default_transaction_read_only": "off", "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off", "session_replication_role": "origin", "standard_conforming_strings": "on",
    "client_encoding": "UTF8", "search_path": "pg_catalog", "DateStyle": "ISO, MDY", "IntervalStyle": "postgres",
    "TimeZone": "UTC", "bytea_output": "hex", "extra_float_digits": "1", "xmloption": "content", "row_security": "on",
    "lc_monetary": "C", "synchronize_seqscans": "off", "synchronous_commit": "off",
}  # fmt: skip
_SINCE = {"transaction_timeout": 170000}


class ServerSaid(HarnessError):
    """The server refused a statement of the harness itself. ``sqlstate`` is its error code."""

    def __init__(self, text: str, sqlstate: str = "") -> None:
        super().__init__(text)
        self.sqlstate = sqlstate


class Link:
    """Runs statements on the server at *url*, each in a transaction of its own; connects at the first statement."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection: Any = None
        self._planned: dict[str, bytes] = {}

    def ask(self, sql: str, *values: str | None) -> list[tuple[bytes | None, ...]]:
        """Run *sql*, with *values* for $1, $2 ..., and return the rows as text in bytes, None for NULL.

        Raises ``ServerSaid`` if the server refuses the statement or the connection, and ``Unsupported`` without ``psycopg``.
        """
        connection = self._connected()
        given: Sequence[bytes | None] = [None if value is None else value.encode() for value in values]
        return self._rows(sql, connection.exec_params(sql.encode(), given) if given else connection.exec_(sql.encode()))

    def ask_often(self, sql: str) -> list[tuple[bytes | None, ...]]:
        """Run one statement as ``ask`` does; the server plans it once for this connection."""
        connection = self._connected()
        if (name := self._planned.get(sql)) is None:
            name = b"harness%d" % len(self._planned)
            self._rows(sql, connection.prepare(name, sql.encode()))
            self._planned[sql] = name
        return self._rows(sql, connection.exec_prepared(name, ()))

    def _rows(self, sql: str, result: Any) -> list[tuple[bytes | None, ...]]:
        from psycopg.pq import DiagnosticField, ExecStatus

        if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
            state = result.error_field(DiagnosticField.SQLSTATE) or b""
            text = (result.error_message or self._connection.error_message or b"").decode(errors="replace").strip()
            raise ServerSaid(f"PostgreSQL refused {sql[:200]!r}: {text}", state.decode())
        columns = range(result.nfields)
        return [tuple(result.get_value(row, column) for column in columns) for row in range(result.ntuples)]

    @property
    def idle(self) -> bool:
        """Whether there is no connection now."""
        return self._connection is None

    @property
    def backend(self) -> int:
        """The id of the server process that serves this connection, 0 if there is none."""
        return 0 if self._connection is None else int(self._connection.backend_pid)

    def _connected(self) -> Any:
        if self._connection is None:
            try:
                from psycopg.pq import ConnStatus, PGconn
            except ImportError:
                raise Unsupported(
                    "This scenario races over PostgreSQL, and the harness asks the server through psycopg, which is not "
                    "installed. Install the extra 'postgres' (pip install 'race-harness[postgres]')."
                ) from None
            connection = PGconn.connect(self.url.encode())
            if connection.status != ConnStatus.OK:
                where = self.url.partition("?")[0]
                why = " ".join((connection.error_message or b"").decode(errors="replace").split())
                raise ServerSaid(f"No connection to {where}: {why.removesuffix('.')}.")
            self._connection = connection
            self._settle(connection)
        return self._connection

    def _settle(self, connection: Any) -> None:
        version = connection.server_version
        settings = [
            f"set_config('{name}', '{value}', false)"
            for name, value in _SETTINGS.items()
            if version >= _SINCE.get(name, 0)
        ]
        connection.exec_(f"SELECT {', '.join(settings)}".encode())

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next ``ask`` connects anew."""
        if self._connection is not None:
            self._connection.finish()
            self._connection = None
            self._planned.clear()
