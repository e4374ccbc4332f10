"""The interface of a database, whichever it is, and the backend for each kind of address."""

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from reference_impl.background import Background

T = TypeVar("T")

Address = str | os.PathLike[str]
"""A URL, or the path of a file."""

Parameters = Sequence[object] | Mapping[str, object]
"""What stands for each ``?``, or for each ``:name``."""


class Cursor(Protocol):
    """The result of a statement."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""


class Connection(Protocol):
    """A connection that one task uses at a time. Statements are written as for SQLite; others are not used."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Awaitable[Cursor]:
        """Run one statement."""

    def execute_fetchall(self, sql: str, parameters: Any = ..., /) -> Awaitable[Iterable[Any]]:
        """Run one statement and fetch all its rows."""


class Backend(Protocol):
    """One worker's way to the database.

    Attributes:
        background: what has to be done even though the call that wanted it was cancelled.
        wakes_others: whether :meth:`announce` reaches other workers, so that they need not poll for it.
    """

    background: Background
    wakes_others: bool

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """A transaction: committed when the body ends, undone when it raises or is cancelled. Never retried."""

    def autocommit(self) -> AbstractAsyncContextManager[Connection]:
        """A connection in no transaction, for reads and for writes that are one statement."""

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do work in a transaction; do it again, from the beginning, where the database gave it up in favour of another.

        Args:
            work: reads and writes over the connection it is given, and does nothing that can't be undone.

        Returns:
            What the work returned, durable.

        Raises:
            DatabaseBusy: a lock could not be had in time, or others were always preferred; nothing was written.
            StorageFailed: the database failed.
        """

    async def lock(self, connection: Connection, sql: str, parameters: Sequence[object]) -> None:
        """Lock some rows against other transactions until this one ends, so that a row is still as read when it is written.

        Args:
            connection: a connection in a transaction.
            sql: a SELECT of the rows, without ``FOR UPDATE``.
            parameters: its parameters.
        """

    async def insert_within(self, table: str, most: int, sql: str, parameters: Mapping[str, object]) -> list[Any]:
        """Insert by one statement that counts the rows, so that other inserts can't make them too many.

        Args:
            table: the table.
            most: the most rows that it may have.
            sql: the statement; it inserts while there are fewer rows than ``:capacity``.
            parameters: its other parameters, by name.

        Returns:
            The rows that the statement returns.
        """

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Receive announcements of other workers from now on. Does nothing if it already does, or can't.

        Args:
            heard: called with each topic.
        """

    async def announce(self, topic: str) -> None:
        """Tell every worker that listens; a worker that misses an announcement finds the change when it looks the next time.

        Args:
            topic: the topic that has changed.
        """

    async def close(self) -> None:
        """Finish the background work of cancelled calls, then close the connections. No call may be in progress."""


def is_postgres(address: Address) -> bool:
    """Whether an address means a PostgreSQL database, and not a file.

    Args:
        address: a URL, or the path of a file.

    Returns:
        True for ``postgresql://...`` and ``postgres://...``.
    """
    return os.fspath(address).startswith(("postgresql://", "postgres://"))


def file_of(address: Address) -> str:
    """The database file that an address means.

    Args:
        address: a path, or ``sqlite:///`` and a path.

    Returns:
        The path.
    """
    return os.fspath(address).removeprefix("sqlite:///")


def open_backend(address: Address, *, busy_timeout: float = 5.0) -> Backend:
    """Make one worker's way to a database. Connections are opened when first needed.

    Args:
        address: a URL ``postgresql://...``, or the path of an SQLite file; either is already initialised.
        busy_timeout: how long a statement waits for another's lock, in seconds.

    Returns:
        The database.

    Raises:
        ModuleNotFoundError: for PostgreSQL, where the extra ``postgres`` is not installed.
    """
    if is_postgres(address):
        from reference_impl.postgres.database import PostgresDatabase

        return PostgresDatabase(os.fspath(address), busy_timeout=busy_timeout)
    from reference_impl.database import Database

    return Database(file_of(address), busy_timeout=busy_timeout)


def is_duplicate(error: Exception) -> bool:
    """Whether a statement failed because of a unique index other than a primary key.

    Args:
        error: what was raised.

    Returns:
        True for such an error of either database.
    """
    if (diagnosis := getattr(error, "diag", None)) is not None:
        return diagnosis.sqlstate == "23505" and not str(diagnosis.constraint_name).endswith("_pkey")
    return getattr(error, "sqlite_errorname", "") == "SQLITE_CONSTRAINT_UNIQUE"
