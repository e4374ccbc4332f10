"""The interface that SQLite and PostgreSQL both implement, and the choice of one of them by an address."""

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
        """Return the number of rows that the statement changed."""


class Connection(Protocol):
    """A connection that one task has for itself.

    Statements are written as for SQLite. The service uses only those that can be translated to PostgreSQL.
    """

    def execute(self, sql: str, parameters: Any = ..., /) -> Awaitable[Cursor]:
        """Run one statement."""

    def execute_fetchall(self, sql: str, parameters: Any = ..., /) -> Awaitable[Iterable[Any]]:
        """Run one statement and fetch all its rows."""


class Backend(Protocol):
    """One worker's access to the database.

    Attributes:
        background: work that has to be done even where the call that needed it was cancelled.
        wakes_others: whether :meth:`announce` reaches other workers, so that they need not poll often.
    """

    background: Background
    wakes_others: bool

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Open a transaction: committed when the body ends, undone when it raises or is cancelled. Never retried."""

    def autocommit(self) -> AbstractAsyncContextManager[Connection]:
        """Open a connection in no transaction, for reads and for writes that are one statement."""

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do work in a transaction; do it again from the beginning where the database undid it in favour of another.

        Args:
            work: reads and writes over the connection that it gets, and does nothing that a rollback can't undo.

        Returns:
            The result of the work; its writes are durable.

        Raises:
            DatabaseBusy: a lock was not free in time, or the database undid every attempt; nothing was written.
            StorageFailed: the database failed.
        """

    async def lock(self, connection: Connection, sql: str, parameters: Sequence[object]) -> None:
        """Lock some rows until the transaction ends, so that nobody changes them between the next read and the write.

        Args:
            connection: a connection in a transaction.
            sql: a SELECT of the rows, without ``FOR UPDATE``.
            parameters: its parameters.
        """

    async def insert_within(self, table: str, most: int, sql: str, parameters: Mapping[str, object]) -> list[Any]:
        """Insert by one statement that counts the rows, so that concurrent inserts never exceed the limit together.

        Args:
            table: the table that the statement inserts into.
            most: the most rows that the table may have.
            sql: the statement; it inserts where there are fewer rows than its parameter ``:capacity``.
            parameters: its other parameters, by name.

        Returns:
            The rows that the statement returns.
        """

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Listen to announcements of other workers from now on; do nothing where that is so already or impossible.

        Args:
            heard: called with each topic.
        """

    async def announce(self, topic: str) -> None:
        """Tell every worker that listens. An announcement may get lost: listeners also poll from time to time.

        Args:
            topic: names the thing that has changed.
        """

    async def close(self) -> None:
        """Finish the work that cancelled calls left, then close the connections. No call may be in progress."""


def is_postgres(address: Address) -> bool:
    """Return whether an address means a PostgreSQL database, and not a file.

    Args:
        address: a URL, or the path of a file.

    Returns:
        True for ``postgresql://...`` and ``postgres://...``.
    """
    return os.fspath(address).startswith(("postgresql://", "postgres://"))


def file_of(address: Address) -> str:
    """Return the path of the database file that an address means.

    Args:
        address: a path, or ``sqlite:///`` and a path.

    Returns:
        The path.
    """
    return os.fspath(address).removeprefix("sqlite:///")


def open_backend(address: Address, *, busy_timeout: float = 5.0) -> Backend:
    """Make one worker's access to a database. Connections are opened when first needed.

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
    """Return whether a statement failed because of a unique index other than a primary key.

    Args:
        error: the error that the statement raised.

    Returns:
        True for such an error of SQLite or of PostgreSQL.
    """
    if (diagnosis := getattr(error, "diag", None)) is not None:
        return diagnosis.sqlstate == "23505" and not str(diagnosis.constraint_name).endswith("_pkey")
    return getattr(error, "sqlite_errorname", "") == "SQLITE_CONSTRAINT_UNIQUE"
