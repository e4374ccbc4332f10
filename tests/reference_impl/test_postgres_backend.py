"""What PostgreSQL needs beside what SQLite does: its clock, its retries, its pool, its wake-ups, its migrations."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from psycopg import errors as driver

import reference_impl
from reference_impl.backend import Connection
from reference_impl.database import fetch
from reference_impl.errors import ActiveTokenExists, DatabaseBusy, StorageFailed, StoreFull
from reference_impl.moments import FromNow
from reference_impl.postgres.connection import FROM_NOW, translated
from reference_impl.postgres.database import PostgresDatabase
from reference_impl.reservations import Proceed, Reservations, Wait
from tests import postgres
from tests.reference_impl.conftest import Make, Rows
from tests.reference_impl.held import ended_or_blocked
from tests.reference_impl.stepping import CancelledAfter, CancelledBefore, Stepped, awaiting, closed
from tests.reference_impl.test_cancellation import Call, add, add_taken, issue, rotate
from tests.reference_impl.test_postgres_faulty import TOKEN
from tests.reference_impl.test_reservations import finish, own, reserve

RENAME = "UPDATE agents SET name = name || ? WHERE id = ?"


@pytest.fixture
def url(make_postgres: Callable[..., str]) -> str:
    """A database with the agents ``ada`` and ``bob``."""
    return make_postgres()


@pytest.mark.parametrize(
    ("sql", "parameters", "said", "values"),
    [
        ("a = ? AND b = ?", (1, "x"), b"a = %s AND b = %s", [1, "x"]),
        ("a = :a OR b = :a", {"a": 1}, b"a = %(a)s OR b = %(a)s", {"a": 1}),
        ("'50% ?:a' LIKE ? || '%'", ("x",), b"'50%% ?:a' LIKE %s || '%%'", ["x"]),
        ("?::regclass::oid", ("t",), b"%s::regclass::oid", ["t"]),
        ("a < ? AND b = ?", (FromNow(-5), 1), f"a < {FROM_NOW.format('%s')} AND b = %s".encode(), [-5, 1]),
        ("a < :now", {"now": FromNow()}, f"a < {FROM_NOW.format('%(now)s')}".encode(), {"now": 0.0}),
    ],
    ids=["positions", "names", "quoted", "casts", "moment", "named moment"],
)
def test_statements_are_said_in_the_drivers_words(sql: str, parameters: Any, said: bytes, values: Any) -> None:
    """Placeholders become the driver's, what is quoted stays, and a moment is the server's."""
    assert translated(sql, parameters) == (said, values)


def test_both_databases_have_the_same_tables(url: str, rows: Rows, make: Make) -> None:
    """By names of tables and columns, but for what SQLite has unasked and Alembic asks for."""
    there: dict[str, set[str]] = {}
    for table, column in rows(
        url, "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    ):
        there.setdefault(table, set()).add(column)
    assert there.pop("alembic_version") == {"version_num"}
    with closing(sqlite3.connect(make())) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        here = {table: {column[1] for column in connection.execute(f"PRAGMA table_info({table})")} for table in tables}
    assert {table: columns - {"rowid"} for table, columns in there.items()} == here


def test_who_initialises_at_the_same_time_does_no_harm(postgres_url: str, rows: Rows) -> None:
    """The migrations are applied once."""

    async def main() -> None:
        await asyncio.gather(*(reference_impl.initialise(postgres_url) for _ in range(2)))

    asyncio.run(main())
    assert rows(postgres_url, "SELECT version_num FROM alembic_version") == [("0001",)]


def test_a_server_that_is_not_there_is_a_typed_error(tmp_path: Path) -> None:
    """Clients are told no address; who starts the service is told which database and why."""
    nowhere = f"postgresql://someone@/agents?host={tmp_path}"

    async def main() -> None:
        async with closed(await reference_impl.open_service(nowhere)) as service:
            with pytest.raises(StorageFailed) as failed:
                await service.tokens.issue("ada")
            assert str(tmp_path) not in str(failed.value)
        with pytest.raises(OSError, match="'agents'"):
            await reference_impl.initialise(nowhere)

    asyncio.run(main())


def test_a_deadlock_is_tried_again(url: str, rows: Rows) -> None:
    """Two that lock in opposite order both get through, each once."""

    async def main() -> None:
        async with closed(PostgresDatabase(url)) as database:
            both = asyncio.Barrier(2)
            met: set[str] = set()

            async def work(connection: Connection, mine: str, other: str) -> None:
                await connection.execute(RENAME, (mine, mine))
                if mine not in met:
                    met.add(mine)
                    await both.wait()
                await connection.execute(RENAME, (mine, other))

            await asyncio.gather(
                database.run(lambda connection: work(connection, "1", "2")),
                database.run(lambda connection: work(connection, "2", "1")),
            )

    asyncio.run(main())
    assert {tuple(sorted(name[3:])) for (name,) in rows(url, "SELECT name FROM agents")} == {("1", "2")}


def test_a_serialization_failure_is_tried_again(url: str, rows: Rows) -> None:
    """Of two transactions that each read what the other writes one is refused, and does right the second time."""

    class Serializable(PostgresDatabase):
        ISOLATION = "SERIALIZABLE"

    async def main() -> list[int]:
        async with closed(Serializable(url)) as database:
            both = asyncio.Barrier(2)
            tries: list[str] = []

            async def work(connection: Connection, slug: str) -> int:
                ((number,),) = await fetch(connection, "SELECT count(*) FROM agents", ())
                tries.append(slug)
                if len(tries) <= 2:
                    await both.wait()
                await connection.execute(
                    "INSERT INTO agents (id, slug, name) VALUES (?, ?, ?)", (slug, slug, str(number))
                )
                return int(number)

            answers = await asyncio.gather(
                *(database.run(lambda connection, slug=slug: work(connection, slug)) for slug in "ef")  # type: ignore[misc]
            )
            assert len(tries) == 3
            return answers

    assert sorted(asyncio.run(main())) == [2, 3]
    assert sorted(rows(url, "SELECT name FROM agents WHERE id IN ('e', 'f')")) == [("2",), ("3",)]


def test_trying_again_has_a_bound(url: str, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is always given up is told to come later, and has written nothing."""
    monkeypatch.setattr(PostgresDatabase, "PAUSE", 0.0)

    async def main() -> int:
        async with closed(PostgresDatabase(url)) as database:
            tries = 0

            async def work(connection: Connection) -> None:
                nonlocal tries
                tries += 1
                await connection.execute(RENAME, ("x", "1"))
                raise driver.SerializationFailure

            with pytest.raises(DatabaseBusy):
                await database.run(work)
            return tries

    assert asyncio.run(main()) == PostgresDatabase.ATTEMPTS
    assert rows(url, "SELECT name FROM agents WHERE id = '1'") == [("Ada",)]


def test_locks_and_connections_are_waited_for_so_long(url: str) -> None:
    """Busy means retry: nothing was written, and when the lock, or the only connection, is free it works."""

    async def main() -> None:
        async with (
            closed(PostgresDatabase(url, busy_timeout=0.02, connections=1)) as database,
            closed(PostgresDatabase(url)) as other,
        ):
            async with other.transaction() as connection:
                await other.lock(connection, "SELECT 1 FROM agents WHERE slug = ?", ("ada",))
                with pytest.raises(DatabaseBusy):
                    async with database.transaction() as mine:
                        await mine.execute(RENAME, ("x", "1"))
            async with database.transaction(), asyncio.TaskGroup() as group:
                refused = group.create_task(asyncio.wait_for(_refused(database), 10))
            assert refused.result()
            assert not await _refused(database)

    asyncio.run(main())


async def _refused(database: PostgresDatabase) -> bool:
    try:
        async with database.autocommit() as connection:
            await connection.execute("SELECT 1")
    except DatabaseBusy:
        return True
    return False


def test_a_connection_that_breaks_is_replaced(url: str) -> None:
    """One request fails, with a typed error; the next has a new connection, whichever were idle."""

    async def main() -> None:
        async with closed(PostgresDatabase(url)) as database:
            async with database.autocommit(), database.autocommit():
                pass
            sql = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
            )
            await asyncio.to_thread(postgres.execute, url, sql, (postgres.name_of(url),))
            with pytest.raises(StorageFailed):
                async with database.transaction() as connection:
                    await connection.execute(RENAME, ("x", "1"))
            async with database.transaction() as connection:
                await connection.execute(RENAME, ("y", "1"))

    asyncio.run(main())


def test_a_commit_that_undoes_is_an_error(url: str) -> None:
    """PostgreSQL answers COMMIT with ROLLBACK, and no error, where a statement has failed before."""

    async def main() -> None:
        async with closed(PostgresDatabase(url)) as database:

            async def work(connection: Connection) -> None:
                await asyncio.gather(connection.execute("SELECT 1 FROM nothing"), return_exceptions=True)

            with pytest.raises(driver.InFailedSqlTransaction):
                await database.run(work)
            assert not await _refused(database)

    asyncio.run(main())


def test_a_waiter_elsewhere_is_woken_without_a_poll(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It hears; and where its connection broke before, it looks."""
    monkeypatch.setattr("reference_impl.reservations.LONGEST_POLL", 3600.0)

    async def main() -> None:
        async with closed(PostgresDatabase(url)) as one, closed(PostgresDatabase(url)) as other:
            here, there = Reservations(one), Reservations(other)
            reservation = await own(here)
            wait = await reserve(there)
            assert isinstance(wait, Wait)
            waiting = asyncio.create_task(wait.changed(3600.0))
            await here.release(reservation)
            assert await waiting
            assert wait.woken.is_set()
            reservation = await own(here)
            monkeypatch.setattr("reference_impl.reservations.LONGEST_POLL", 0.01)
            wait = await reserve(there)
            assert isinstance(wait, Wait)
            sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%' AND datname = %s"
            assert len(await asyncio.to_thread(postgres.execute, url, sql, (postgres.name_of(url),))) == 1
            await finish(one, here, reservation)
            assert await wait.changed(3600.0)

    asyncio.run(main())


def test_many_at_once_do_not_overfill_the_store(url: str, rows: Rows) -> None:
    """However many ask for a last place at the same time, in whichever worker, one gets it."""

    async def main() -> list[Any]:
        async with closed(PostgresDatabase(url)) as one, closed(PostgresDatabase(url)) as other:
            stores = [Reservations(database, capacity=1) for database in (one, other)]
            return await asyncio.gather(
                *(reserve(stores[n % 2], endpoint=str(n)) for n in range(6)), return_exceptions=True
            )

    answers = asyncio.run(main())
    assert sum(isinstance(answer, Proceed) for answer in answers) == 1
    assert sum(isinstance(answer, StoreFull) for answer in answers) == 5
    assert rows(url, "SELECT count(*) FROM reservations") == [(1,)]


async def _cancelled(url: str, call: Call, how: type[Stepped[Any]], at: int) -> bool:
    """Cancel *call* at a suspension, retry in the same worker and in another; False where it ended before."""
    async with (
        closed(await reference_impl.open_service(url)) as service,
        closed(await reference_impl.open_service(url)) as other,
    ):
        (first,) = await asyncio.gather(awaiting(how(call(service), at)), return_exceptions=True)
        for each in (service, other):
            answers = await asyncio.gather(each.tokens.issue("bob"), call(each), return_exceptions=True)
            assert not any(isinstance(answer, driver.Error | DatabaseBusy) for answer in answers), answers
        assert isinstance(answers[0], ActiveTokenExists)
    return isinstance(first, asyncio.CancelledError)


@pytest.mark.slow
@pytest.mark.parametrize("how", [CancelledBefore, CancelledAfter])
@pytest.mark.parametrize("call", [issue, rotate, add, add_taken])
def test_cancelling_anywhere_leaves_nothing_behind(
    make_postgres: Callable[..., str], rows: Rows, call: Call, how: type[Stepped[Any]]
) -> None:
    """Wherever the call is cancelled, no lock is held, no state is half made, and retries get definite answers."""
    for at in range(200):
        url = make_postgres()
        if call is rotate:
            postgres.execute(url, TOKEN)
        reached = asyncio.run(_cancelled(url, call, how, at))
        active = rows(url, "SELECT agent_id FROM tokens WHERE revoked_at IS NULL ORDER BY agent_id")
        assert active == ([("1",), ("2",)] if call in (issue, rotate) else [("2",)])
        assert [slug for (slug,) in rows(url, "SELECT slug FROM agents ORDER BY rowid")][2:] == (
            ["eve"] if call is add else []
        )
        assert rows(url, "SELECT count(*) FROM reservations WHERE state <> 'finished'") == [(0,)]
        if not reached:
            break
    assert at > 2


def test_who_waits_for_a_lock_and_is_cancelled_leaves_the_queue(url: str) -> None:
    """The statement is cancelled at the server too, so the lock goes to the next."""

    async def main() -> None:
        async with closed(await reference_impl.open_service(url)) as service:
            database = cast(PostgresDatabase, service.database)
            async with database.transaction() as connection:
                await database.lock(connection, "SELECT 1 FROM agents WHERE slug = ?", ("ada",))
                waiting = asyncio.create_task(service.tokens.issue("ada"))
                await ended_or_blocked(url, waiting)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            await service.tokens.issue("ada")

    asyncio.run(main())
