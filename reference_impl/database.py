"""SQLite connections and transactions: no other module opens a connection, begins, commits or rolls back.

Each task has a connection of its own while it uses the database. A connection has one transaction at a time, so two
coroutines on one connection would commit and roll back each other's work. ``BEGIN IMMEDIATE`` takes the write lock
first: nobody else writes between the transaction's reads and its writes, and BEGIN is the only statement that waits
for the lock (SQLite docs, "Transactions").
"""

import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import aiosqlite

from reference_impl.backend import Connection
from reference_impl.connections import Connections
from reference_impl.errors import DatabaseBusy, StorageFailed
from reference_impl.schema import JournalMode, initialise

__all__ = ["Database", "JournalMode", "fetch", "initialise"]

LOG = logging.getLogger(__name__)

T = TypeVar("T")


class Database(Connections[aiosqlite.Connection]):
    """Holds one worker's connections to the database file, each opened when first needed.

    Args:
        path: the database file, already initialised.
        busy_timeout: how long a statement waits for another's lock, in seconds.
    """

    wakes_others: bool = False

    def __init__(self, path: str | os.PathLike[str], *, busy_timeout: float = 5.0) -> None:
        super().__init__()
        self._path = os.fspath(path)
        self._busy_timeout = busy_timeout

    def __repr__(self) -> str:
        return f"<Database {self._path!r}, {len(self._idle)} idle connections>"

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """Open a write transaction: committed when the body ends, undone when it raises or is cancelled.

        A commit that is cancelled may still be durable: the connection's thread has already got the statement.

        Yields:
            A connection that no other task uses, holding SQLite's write lock.

        Raises:
            DatabaseBusy: the lock was not free within the busy timeout; nothing was written.
            StorageFailed: the disk is full or failed.
        """
        with self._busy_typed():
            connection = await self._take()
            try:
                await connection.execute("BEGIN IMMEDIATE")
                yield connection
                await connection.commit()
            except Exception:
                await self._roll_back(connection)
                raise
            except BaseException:
                self._discard(connection)
                raise
            self._idle.append(connection)

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[aiosqlite.Connection]:
        """Open a connection in no transaction, for reads and for writes that are one statement.

        Yields:
            A connection that no other task uses, in no transaction.

        Raises:
            DatabaseBusy: a statement waited for a lock for longer than the busy timeout.
            StorageFailed: the disk is full or failed.
        """
        with self._busy_typed():
            connection = await self._take()
            try:
                yield connection
            except BaseException:
                self._discard(connection)
                raise
            self._idle.append(connection)

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do work in one transaction, once: SQLite never undoes the transaction that holds the write lock."""
        async with self.transaction() as connection:
            return await work(connection)

    async def lock(self, connection: Connection, sql: str, parameters: Sequence[object]) -> None:
        """Do nothing: a transaction has the write lock of the whole database anyway."""

    async def insert_within(self, table: str, most: int, sql: str, parameters: Mapping[str, object]) -> list[Any]:
        """Insert in one statement, during which SQLite lets nobody else write; see :meth:`Backend.insert_within`."""
        async with self.autocommit() as connection:
            return await fetch(connection, sql, {**parameters, "capacity": most})

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Do nothing: SQLite has no notifications."""

    async def announce(self, topic: str) -> None:
        """Do nothing: SQLite has no notifications."""

    async def _open(self) -> aiosqlite.Connection:
        # isolation_level=None: no implicit BEGIN, so every transaction is one of the explicit ones above.
        return await aiosqlite.connect(self._path, timeout=self._busy_timeout, isolation_level=None)

    async def _roll_back(self, connection: aiosqlite.Connection) -> None:
        """End the failed transaction, if there is one: BEGIN may have failed, or SQLite may have rolled it back itself."""
        try:
            if connection.in_transaction:
                await connection.rollback()
        except BaseException:
            self._discard(connection)
            raise
        self._idle.append(connection)

    async def _end(self, connection: aiosqlite.Connection) -> None:
        """Roll back and close, after the statements that the connection's thread still has in its queue.

        The rollback is needed: closing alone leaves the write lock held for as long as a half-read cursor lives,
        for instance in the traceback of the cancelled call (SQLite docs, "sqlite3_close_v2": zombie connections). The read
        lock of such a cursor stays even after the rollback, so :func:`fetch` reads every cursor to its end.
        """
        try:
            await connection.rollback()
        except sqlite3.Error:
            LOG.warning("could not roll back a discarded connection", exc_info=True)
        finally:
            await connection.close()

    @contextmanager
    def _busy_typed(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            # The low byte is the primary code: BUSY_SNAPSHOT and BUSY_RECOVERY are BUSY as well.
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_BUSY:
                raise DatabaseBusy(self._busy_timeout) from error
            if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                raise StorageFailed(str(error)) from error
            raise


async def fetch(
    connection: Connection, sql: str, parameters: Sequence[object] | Mapping[str, object]
) -> list[tuple[Any, ...]]:
    """Run one statement and fetch all its rows, so that it holds no lock afterwards.

    Args:
        connection: the connection to run it over.
        sql: the statement, with ``?`` or ``:name`` for each parameter.
        parameters: the values.

    Returns:
        The rows, as tuples.

    Raises:
        sqlite3.Error: the error of the statement over SQLite; over PostgreSQL it is ``psycopg.Error``.
    """
    return [tuple(row) for row in await connection.execute_fetchall(sql, parameters)]
