"""Reads ``psycopg``'s generators: the request that each will send to the server, and its connection."""

from __future__ import annotations

import select
from typing import Any, NamedTuple

from harness.worker.instrument.sqlite.statements import shown

__all__ = ["ACTIVE", "IDLE", "IN_ERROR", "IN_TRANSACTION", "Asked", "asked_by", "waiter"]

IDLE, ACTIVE, IN_TRANSACTION, IN_ERROR = range(4)
"""``psycopg.pq.TransactionStatus``."""
_SERIALIZABLE = 4
_READ, _WRITE = 1, 2


class Asked(NamedTuple):
    """The request that a generator will send to the server, and its ``PGconn``.

    ``serializable``: it is in a transaction of that level; ``begins``: it begins one implicitly.
    """

    kind: str
    sql: str
    detail: str
    connection: Any
    serializable: bool = False
    begins: bool = False


class waiter:
    """Waits for a descriptor to be ready as ``wanted``, and returns whether it was in time; ``found`` is the event."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = (descriptor,)
        self.wanted = self.found = 0

    def __call__(self, seconds: float) -> bool:
        """Wait."""
        reads, writes = self.wanted & _READ, self.wanted & _WRITE
        readable, writable, _ = select.select(
            self._descriptor if reads else (), self._descriptor if writes else (), (), seconds
        )
        self.found = (_READ if readable else 0) | (_WRITE if writable else 0)
        return bool(self.found)


def asked_by(gen: Any) -> Asked | None:
    """Return the request that *gen* will send; None if it sends none or is no generator of a connection."""
    frame = getattr(gen, "gi_frame", None)
    if frame is None:
        return None
    name, known = gen.gi_code.co_name, frame.f_locals
    owner = known.get("self")
    connection = getattr(owner, "_conn", None) or owner
    pgconn = getattr(connection, "pgconn", None) or known.get("pgconn")
    if pgconn is None or pgconn.status != 0 or name.startswith("_set_"):
        return None
    idle = pgconn.transaction_status == IDLE
    serializable = idle and getattr(connection, "isolation_level", None) == _SERIALIZABLE
    if name in ("_commit_gen", "_rollback_gen"):
        word = "COMMIT" if name == "_commit_gen" else "ROLLBACK"
        return None if idle else Asked(word.lower(), word, "", pgconn)
    if name in _TRANSACTION:
        return _TRANSACTION[name](owner, known, idle)._replace(connection=pgconn, serializable=serializable)
    if name == "notifies":
        return Asked("notify", "wait for a notification", "", pgconn)
    if (query := known.get("query", known.get("statement", known.get("command")))) is not None:
        detail = shown(known.get("params", known.get("params_seq")))
        begins = idle and not getattr(connection, "autocommit", True)
        return Asked("sql", _text(query, connection), detail, pgconn, serializable, begins)
    return Asked("sql", name.strip("_").removesuffix("_gen"), "", pgconn, serializable)


def _entering(_owner: Any, _known: dict[str, Any], idle: bool) -> Asked:
    return Asked("sql", "BEGIN" if idle else "SAVEPOINT", "", None)


def _leaving(owner: Any, known: dict[str, Any], _idle: bool) -> Asked:
    fails = known.get("exc_type") is not None or bool(getattr(owner, "force_rollback", False))
    if getattr(owner, "_outer_transaction", True):
        return Asked("rollback" if fails else "commit", "ROLLBACK" if fails else "COMMIT", "", None)
    return Asked("rollback" if fails else "commit", "ROLLBACK TO SAVEPOINT" if fails else "RELEASE", "", None)


_TRANSACTION = {"_enter_gen": _entering, "_exit_gen": _leaving}
"""What ``connection.transaction()`` says when it begins and when it ends."""


def _text(query: Any, connection: Any) -> str:
    if isinstance(query, bytes):
        return query.decode(errors="replace")
    if isinstance(query, str):
        return query
    as_string = getattr(query, "as_string", None)
    return str(as_string(connection)) if as_string is not None else str(query)
