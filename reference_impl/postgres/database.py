"""PostgreSQL connections and transactions: no other module of the service begins, commits or rolls back.

The isolation level is READ COMMITTED: each statement sees the data that was committed when it began. So a transaction
locks the rows that its decision rests on by a statement of its own before it reads them (:meth:`PostgresDatabase.lock`),
or decides and writes in one statement. The unique indexes catch mistakes in this.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar, TypeVar

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from reference_impl.backend import Connection
from reference_impl.connections import Connections
from reference_impl.database import fetch
from reference_impl.errors import DatabaseBusy, StorageFailed
from reference_impl.postgres.connection import PostgresConnection
from reference_impl.postgres.listening import CHANNEL, Listener

LOG = logging.getLogger(__name__)

T = TypeVar("T")

GIVEN_UP = (errors.SerializationFailure, errors.DeadlockDetected)
"""The transaction was undone in favour of another: the same work may well succeed now."""

BUSY = (*GIVEN_UP, errors.LockNotAvailable, errors.QueryCanceled)


class PostgresDatabase(Connections[PostgresConnection]):
    """Holds one worker's connections to a PostgreSQL database, each opened when first needed.

    Args:
        url: the database, already initialised.
        busy_timeout: how long a statement waits for another's lock, and a task for a connection, in seconds.
        connections: how many connections there are at most, besides the one that listens.
    """

    ISOLATION: ClassVar[str] = "READ COMMITTED"
    ATTEMPTS: ClassVar[int] = 5
    PAUSE: ClassVar[float] = 0.01

    wakes_others: bool = True

    def __init__(self, url: str, *, busy_timeout: float = 5.0, connections: int = 10) -> None:
        super().__init__()
        self._url = url
        self._busy_timeout = busy_timeout
        self._free = asyncio.Semaphore(connections)
        self._listener = Listener(self._connect)
        self._server_connections: int | None = None

    def __repr__(self) -> str:
        return f"<PostgresDatabase {conninfo_to_dict(self._url).get('dbname')!r}, {len(self._idle)} idle connections>"

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresConnection]:
        """Open a transaction: committed when the body ends, undone when it raises or is cancelled. Never retried.

        A commit that is cancelled may still be durable: the server may have begun it.

        Yields:
            A connection that no other task uses, in a transaction.

        Raises:
            DatabaseBusy: a lock was not free within the busy timeout, or the server undid the transaction in favour of
                another; nothing was written.
            StorageFailed: the server failed; where it failed during the commit, the commit may be durable.
        """
        async with self._connection() as connection:
            try:
                await connection.execute(f"BEGIN ISOLATION LEVEL {self.ISOLATION}")
                yield connection
                if (await connection.execute("COMMIT")).statusmessage != "COMMIT":
                    raise errors.InFailedSqlTransaction("a statement had failed, so all of it was undone")
            except Exception:
                await self._roll_back(connection)
                raise

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[PostgresConnection]:
        """Open a connection in no transaction, for reads and for writes that are one statement.

        Yields:
            A connection that no other task uses, in no transaction.

        Raises:
            DatabaseBusy: a statement waited for a lock for longer than the busy timeout.
            StorageFailed: the server failed.
        """
        async with self._connection() as connection:
            yield connection

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do work in a transaction, at most :attr:`ATTEMPTS` times, with growing random pauses; see :meth:`Backend.run`."""
        for attempt in range(1, self.ATTEMPTS + 1):
            try:
                async with self.transaction() as connection:
                    answer = await work(connection)
                # Only here: a commit can be refused as well, and an answer that was given could not be taken back.
                return answer
            except DatabaseBusy as error:
                if attempt == self.ATTEMPTS or not isinstance(error.__cause__, GIVEN_UP):
                    raise
                LOG.info("transaction given up (%s), attempt %d", error.__cause__, attempt)
            await asyncio.sleep(random.uniform(0, self.PAUSE * 2**attempt))
        raise AssertionError("the last attempt returns or raises")

    async def lock(self, connection: Connection, sql: str, parameters: Sequence[object]) -> None:
        """Lock the rows that exist, by FOR UPDATE. A row that does not exist is not locked: others can insert it."""
        await fetch(connection, f"{sql} FOR UPDATE", parameters)

    async def insert_within(self, table: str, most: int, sql: str, parameters: Mapping[str, object]) -> list[Any]:
        """Insert by one statement, with a reserve of rows or under a lock; see :meth:`Backend.insert_within`.

        Concurrent statements don't see each other's rows, and there are never more of them than connections to the server
        (``max_connections``). So the statement stops that many rows early. Where the limit is not greater than that
        number, the statements run one at a time, under an advisory lock.
        """
        if self._server_connections is None:
            async with self.autocommit() as connection:
                ((found,),) = await fetch(connection, "SELECT current_setting('max_connections')::int", ())
                self._server_connections = int(found)
        if (room := most - self._server_connections) > 0:
            async with self.autocommit() as connection:
                return await fetch(connection, sql, {**parameters, "capacity": room})

        async def alone(connection: Connection) -> list[Any]:
            await fetch(connection, "SELECT pg_advisory_xact_lock(?::regclass::oid::bigint)", (table,))
            return await fetch(connection, sql, {**parameters, "capacity": most})

        return await self.run(alone)

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Listen to announcements; where the server can't be reached, log it and go on: waiters also poll."""
        try:
            await self._listener.start(heard)
        except psycopg.Error:
            LOG.warning("can't hear of changes for now", exc_info=True)

    async def announce(self, topic: str) -> None:
        """Tell every worker that listens, by NOTIFY; see :meth:`Backend.announce`.

        NOTIFY is not part of the transaction that makes a change: a transaction with a NOTIFY takes a lock of the whole
        server for its commit.
        """
        async with self.autocommit() as connection:
            await fetch(connection, "SELECT pg_notify(?, ?)", (CHANNEL, topic))

    async def close(self) -> None:
        """Finish the work that cancelled calls left, then close the connections. No call may be in progress."""
        await self._listener.stop()
        await super().close()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[PostgresConnection]:
        with self._typed():
            await self._wait_for_room()
            try:
                connection = await self._take()
                try:
                    yield connection
                except Exception:
                    self._give_back(connection)
                    raise
                except BaseException:
                    self._discard(connection)
                    raise
                self._give_back(connection)
            finally:
                self._free.release()

    async def _wait_for_room(self) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(self._busy_timeout):
                await self._free.acquire()
        except TimeoutError:
            raise DatabaseBusy(self._busy_timeout) from None

    async def _connect(self) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        options = (
            f"{conninfo_to_dict(self._url).get('options', '')} -c lock_timeout={round(self._busy_timeout * 1000) or 1}"
        )
        return await psycopg.AsyncConnection.connect(self._url, autocommit=True, options=options)

    async def _open(self) -> PostgresConnection:
        return PostgresConnection(await self._connect())

    def _give_back(self, connection: PostgresConnection) -> None:
        """Keep a connection for the next task if it is in no transaction, else close it."""
        status = connection.raw.info.transaction_status
        if status == TransactionStatus.IDLE:
            self._idle.append(connection)
            return
        self._discard(connection)
        if status == TransactionStatus.UNKNOWN:
            # It broke, so those that were idle meanwhile did too: the next task is not to find it out for each.
            while self._idle:
                self._discard(self._idle.pop())

    async def _roll_back(self, connection: PostgresConnection) -> None:
        """Roll back the failed transaction, if there is one; a connection that fails at it is not used again."""
        if connection.raw.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            try:
                await connection.execute("ROLLBACK")
            except psycopg.Error:
                LOG.warning("could not roll back", exc_info=True)

    async def _end(self, connection: PostgresConnection) -> None:
        await connection.close()

    @contextmanager
    def _typed(self) -> Iterator[None]:
        try:
            yield
        except BUSY as error:
            raise DatabaseBusy(self._busy_timeout) from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            # Not its text, which has addresses in it: clients are told the reason.
            reason = error.diag.message_primary or "the connection to the server broke, or could not be made"
            raise StorageFailed(reason) from error
