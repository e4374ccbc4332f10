"""The database: transactions, locks, and what a failure leaves behind."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from reference_impl.database import Database, fetch, initialise
from reference_impl.errors import DatabaseBusy
from tests.reference_impl.conftest import Make, Rows
from tests.reference_impl.stepping import closed

INSERT = "INSERT INTO agents (id, slug, name) VALUES ('3', 'eve', 'Eve')"
EVE = "SELECT count(*) FROM agents WHERE slug = 'eve'"


def test_initialising_twice_changes_nothing(tmp_path: Path, rows: Rows) -> None:
    """The tables are made once and keep what is in them."""
    path = tmp_path / "a.db"
    asyncio.run(initialise(path))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(INSERT)
    asyncio.run(initialise(path))
    assert rows(path, EVE) == [(1,)]


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_the_journal_mode_is_the_files(tmp_path: Path, rows: Rows, mode: str) -> None:
    """The mode chosen at the start is what every later connection finds."""
    path = tmp_path / "a.db"
    asyncio.run(initialise(path, journal_mode=mode))  # type: ignore[arg-type]
    assert rows(path, "PRAGMA journal_mode") == [(mode,)]


def test_other_journal_modes_are_refused(tmp_path: Path) -> None:
    """A mode that was never tried is refused before anything is created."""
    with pytest.raises(ValueError, match="'off'"):
        asyncio.run(initialise(tmp_path / "a.db", journal_mode="off"))  # type: ignore[arg-type]
    assert not (tmp_path / "a.db").exists()


def test_a_transaction_that_ends_well_is_durable(file: Path, rows: Rows) -> None:
    """What was written is there when the block has ended, while the database is still open."""

    async def main() -> None:
        async with closed(Database(file)) as database:
            async with database.transaction() as connection:
                await connection.execute(INSERT)
            assert rows(file, EVE) == [(1,)]

    asyncio.run(main())


def test_a_transaction_that_fails_leaves_nothing(file: Path, rows: Rows) -> None:
    """Neither the write nor the lock outlives an exception, and the connection is used again."""

    async def main() -> None:
        async with closed(Database(file, busy_timeout=0)) as database:
            with pytest.raises(sqlite3.IntegrityError):
                async with database.transaction() as connection:
                    await connection.executemany(INSERT, [(), ()])
            assert "1 idle" in repr(database)
            async with database.transaction() as connection:
                assert await fetch(connection, EVE, ()) == [(0,)]

    asyncio.run(main())


def test_a_locked_database_is_a_typed_error(file: Path) -> None:
    """Where the write lock can't be had in time, the error says so, and a later try works."""

    async def main() -> None:
        async with closed(Database(file, busy_timeout=0.001)) as database:
            with closing(sqlite3.connect(file, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(DatabaseBusy, match=r"0\.001 s"):
                    async with database.transaction():
                        pass
                with pytest.raises(DatabaseBusy):
                    async with database.autocommit() as connection:
                        await connection.execute(INSERT)
                other.execute("ROLLBACK")
                async with database.transaction() as connection:
                    await connection.execute(INSERT)

    asyncio.run(main())


def test_a_commit_kept_out_by_a_reader_is_undone(tmp_path: Path, rows: Rows) -> None:
    """In rollback-journal mode a reader keeps the commit out: busy, and nothing of it stays."""
    path = tmp_path / "a.db"
    asyncio.run(initialise(path))

    async def main() -> None:
        async with closed(Database(path, busy_timeout=0.001)) as database:
            with closing(sqlite3.connect(path, isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute(EVE).fetchall()
                with pytest.raises(DatabaseBusy):
                    async with database.transaction() as connection:
                        await connection.execute(INSERT)
            assert rows(path, EVE) == [(0,)]
            async with database.transaction() as connection:
                await connection.execute(INSERT)

    asyncio.run(main())


def test_other_errors_stay_what_they_are(file: Path) -> None:
    """Only a lock is called busy."""

    async def main() -> None:
        async with closed(Database(file)) as database:
            with pytest.raises(sqlite3.OperationalError, match="no such table"):
                async with database.autocommit() as connection:
                    await connection.execute("SELECT * FROM missing")

    asyncio.run(main())


def test_overlapping_tasks_have_connections_of_their_own(file: Path) -> None:
    """A connection in use is nobody else's, and an idle one is used again."""

    async def main() -> None:
        async with closed(Database(file)) as database:
            async with database.autocommit() as first, database.autocommit() as second:
                assert first is not second
            async with database.autocommit() as third:
                assert third in (first, second)
            assert "2 idle" in repr(database)

    asyncio.run(main())


def test_a_half_read_cursor_holds_no_write_lock(make: Make) -> None:
    """A cursor that outlives its cancelled transaction does not keep others from writing.

    In WAL mode, that is: in rollback-journal mode such a cursor keeps its read lock, and with it commits out.
    """
    path = make(mode="wal")
    kept = []

    async def cancelled(database: Database) -> None:
        async with database.transaction() as connection:
            kept.append(await connection.execute("SELECT slug FROM agents"))
            raise asyncio.CancelledError

    async def main() -> None:
        async with closed(Database(path)) as database, closed(Database(path, busy_timeout=1)) as other:
            with pytest.raises(asyncio.CancelledError):
                await cancelled(database)
            async with other.transaction():
                assert kept

    asyncio.run(main())


def test_a_timeout_inside_a_transaction_undoes_it(file: Path, rows: Rows) -> None:
    """A statement given up for its timeout is undone with the rest, whenever it ran."""

    async def main() -> None:
        async with closed(Database(file)) as database:
            with pytest.raises(TimeoutError):
                async with database.transaction() as connection, asyncio.timeout(0):
                    await connection.execute(INSERT)
            assert rows(file, EVE) == [(0,)]
            async with database.transaction():
                pass

    asyncio.run(main())
