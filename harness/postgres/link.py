"""A connection of the harness' own to the server, below ``psycopg``'s Python: no schedule point is in its way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.errors import HarnessError, Unsupported

__all__ = ["KEPT", "Link", "ServerSaid"]

KEPT = "race-harness kept"
"""The ``application_name`` of a session that waits for its next execution."""


class ServerSaid(HarnessError):
    """The server refused what the harness itself asked of it. ``sqlstate`` is its code for why."""

    def __init__(self, text: str, sqlstate: str = "") -> None:
        super().__init__(text)
        self.sqlstate = sqlstate


class Link:
    """Runs statements at *url*, each in a transaction of its own; connects when first asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection: Any = None

    def ask(self, sql: str, *values: str | None) -> list[tuple[bytes | None, ...]]:
        """Run *sql*, with *values* for $1, $2 ..., and return the rows as text; raises ``ServerSaid``."""
        connection = self._connected()
        given: Sequence[bytes | None] = [None if value is None else value.encode() for value in values]
        result = connection.exec_params(sql.encode(), given) if given else connection.exec_(sql.encode())
        from psycopg.pq import DiagnosticField, ExecStatus

        if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
            state = result.error_field(DiagnosticField.SQLSTATE) or b""
            text = (result.error_message or connection.error_message or b"").decode(errors="replace").strip()
            raise ServerSaid(f"PostgreSQL refused {sql[:200]!r}: {text}", state.decode())
        columns = range(result.nfields)
        return [tuple(result.get_value(row, column) for column in columns) for row in range(result.ntuples)]

    @property
    def idle(self) -> bool:
        """Whether it has not connected."""
        return self._connection is None

    @property
    def backend(self) -> int:
        """The process of the server that serves it, 0 for none."""
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
        return self._connection

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; another ``ask`` connects anew."""
        if self._connection is not None:
            self._connection.finish()
            self._connection = None
