"""The only file that opens connections to SQLite, and begins, commits and rolls back transactions.

Each task has a connection of its own while it uses the database: a connection *is* a transaction, and two
coroutines on one connection commit and roll back each other's work. ``BEGIN IMMEDIATE`` takes the write lock
first, so that what the transaction reads is what it writes over, and only there it waits (SQLite docs,
"Transactions").
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
    """One worker's connections to the database file, opened when first needed.

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
        """A write transaction: committed when the body ends, undone when it raises or is cancelled.

        A cancelled commit may still be durable: the statement is already with the connection's thread.

        Yields:
            A connection nobody else uses, holding SQLite's write lock.

        Raises:
            DatabaseBusy: the lock could not be had within the busy timeout; nothing was written.
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
        """A connection in no transaction, for reads and for writes that are one statement.

        Yields:
            A connection nobody else uses, in no transaction.

        Raises:
            DatabaseBusy: a statement met a lock for longer than the busy timeout.
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
        """Run *work* as :meth:`Backend.run` does; once, because a transaction that has the write lock is never refused."""
        async with self.transaction() as connection:
            return await work(connection)

    async def lock(self, connection: Connection, sql: str, parameters: Sequence[object]) -> None:
        """As :meth:`Backend.lock`: a transaction is alone with the whole database anyway."""

    async def insert_within(self, table: str, most: int, sql: str, parameters: Mapping[str, object]) -> list[Any]:
        """As :meth:`Backend.insert_within`: a statement that writes is alone with the whole database anyway."""
        async with self.autocommit() as connection:
            return await fetch(connection, sql, {**parameters, "capacity": most})

    async def listen(self, heard: Callable[[str], None]) -> None:
        """As :meth:`Backend.listen`: SQLite can't."""

    async def announce(self, topic: str) -> None:
        """As :meth:`Backend.announce`: SQLite can't."""

    async def _open(self) -> aiosqlite.Connection:
        # isolation_level=None: no implicit BEGIN, so every transaction is one of the explicit ones above.
        return await aiosqlite.connect(self._path, timeout=self._busy_timeout, isolation_level=None)

    async def _roll_back(self, connection: aiosqlite.Connection) -> None:
        """End the failed transaction, if any: BEGIN may have failed, SQLite may have ended it by itself."""
        try:
            if connection.in_transaction:
                await connection.rollback()
        except BaseException:
            self._discard(connection)
            raise
        self._idle.append(connection)

    async def _end(self, connection: aiosqlite.Connection) -> None:
        """Undo and close, in turn after whatever the connection's thread still has to do.

        The rollback is needed: closing alone leaves the write lock held for as long as a half-read cursor lives,
        say in the traceback of the cancelled call (SQLite docs, "sqlite3_close_v2": zombie connections). Its read
        lock stays even so, which is why :func:`fetch` reads to the end.
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
        connection: where to run it.
        sql: the statement, with ``?`` or ``:name`` for each parameter.
        parameters: the values.

    Returns:
        The rows, as tuples.

    Raises:
        sqlite3.Error: what SQLite says.
    """
    return [tuple(row) for row in await connection.execute_fetchall(sql, parameters)]
