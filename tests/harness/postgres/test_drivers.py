"""The same lost update through each driver: found, repeated as recorded, and ruled out where the row is locked."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import asyncpg
import psycopg
import pytest
from sqlalchemy import create_engine, text

from harness.control.repeating.replays import replay
from harness.control.run import run
from harness.saved.counterexample import Counterexample
from harness.scenario import Check
from harness.verdict import Verdict
from tests.harness.postgres.programs import counted, needs_server, raced

pytestmark = [needs_server, pytest.mark.forks, pytest.mark.slow]


def with_psycopg(db: Any, lock: str) -> None:
    """Count in a transaction."""
    with psycopg.connect(db) as connection:
        row = connection.execute(f"SELECT n FROM counter WHERE id = 1 {lock}".encode()).fetchone()
        assert row is not None
        connection.execute("UPDATE counter SET n = %s WHERE id = 1", (row[0] + 1,))


async def with_psycopg_async(db: Any, lock: str) -> None:
    """Count in a block of ``transaction()``."""
    async with await psycopg.AsyncConnection.connect(db, autocommit=True) as connection, connection.transaction():
        cursor = await connection.execute(f"SELECT n FROM counter WHERE id = 1 {lock}".encode())
        row = await cursor.fetchone()
        assert row is not None
        await connection.execute("UPDATE counter SET n = %s WHERE id = 1", (row[0] + 1,))


async def with_asyncpg(db: Any, lock: str) -> None:
    """Count with prepared statements."""
    connection = await asyncpg.connect(db)
    try:
        async with connection.transaction():
            n = await connection.fetchval(f"SELECT n FROM counter WHERE id = $1 {lock}", 1)
            await connection.execute("UPDATE counter SET n = $1 WHERE id = 1", n + 1)
    finally:
        await connection.close()


def with_sqlalchemy(db: Any, lock: str) -> None:
    """Count over SQLAlchemy's engine."""
    engine = create_engine(db.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        n = connection.execute(text(f"SELECT n FROM counter WHERE id = 1 {lock}")).scalar_one()
        connection.execute(text("UPDATE counter SET n = :n WHERE id = 1"), {"n": n + 1})
    engine.dispose()


EACH = pytest.mark.parametrize("count", [with_psycopg, with_psycopg_async, with_asyncpg])


@EACH
def test_a_lost_update_is_found_and_repeats_itself(count: Callable[..., Any]) -> None:
    """One preemption between reading and writing; 5 of 5 replays fail as recorded."""
    scenario = counted(functools.partial(count, lock=""))
    result = run(scenario, max_executions=50)
    assert result.verdict is Verdict.INVALID, result
    failure = Counterexample.of(result)
    assert failure.failure.rule == "no increment is lost"
    assert sum(step.preempts for step in failure.steps) == 1
    # Over asyncpg a turn of the loop hands a statement to the server, so a simpler order loses the update too.
    assert count is with_asyncpg or any(step.waited for step in failure.steps), (
        "the second UPDATE meets the first one's lock"
    )
    assert replay(scenario, failure, times=5).failed_again == 5


@EACH
def test_with_the_row_locked_it_is_ruled_out(count: Callable[..., Any]) -> None:
    """Every interleaving, in few executions: more of them over asyncpg, which forgets prepared statements after 300 s."""
    most = 300 if count is with_asyncpg else 50
    result = run(counted(functools.partial(count, lock="FOR UPDATE")), scheduler="exhaustive", max_executions=most)
    assert (result.verdict, result.complete) == (Verdict.VALID, True), result


def test_a_lost_update_is_found_over_sqlalchemy() -> None:
    """What its engine asks at first makes more steps of it."""
    scenario = counted(functools.partial(with_sqlalchemy, lock=""))
    result = run(scenario, max_executions=100, explain=False)
    assert result.verdict is Verdict.INVALID, result
    failure = Counterexample.of(result)
    assert failure.failure.rule == "no increment is lost"
    assert replay(scenario, failure, times=3).failed_again == 3


def sets_a_default(db: Any) -> list[Any]:
    """Change what new sessions have, and return what one had before and another has after."""
    told: list[Any] = []
    for statement in ("ALTER DATABASE race SET work_mem = '9MB'", "SELECT 1"):
        with psycopg.connect(db, autocommit=True) as connection:
            told += connection.execute("SHOW work_mem").fetchone() or ()
            connection.execute(statement.encode())
    return told


async def sets_a_default_by_asyncpg(db: Any) -> list[Any]:
    """The same through asyncpg."""
    told: list[Any] = []
    for statement in ("ALTER DATABASE race SET work_mem = '9MB'", "SELECT 1"):
        connection = await asyncpg.connect(db)
        told.append(await connection.fetchval("SHOW work_mem"))
        await connection.execute(statement)
        await connection.close()
    return told


@pytest.mark.parametrize("operation", [sets_a_default, sets_a_default_by_asyncpg])
def test_a_session_that_is_kept_has_the_settings_of_a_new_one(operation: Any) -> None:
    """What an execution sets for new sessions is so from then on, and gone in the next execution."""

    def told(history: Any, db: Any) -> None:
        assert [outcome.value for outcome in history.outcomes()] == [["4MB", "9MB"]]

    scenario = raced(operation, postconditions=(Check("told", told),))
    result = run(scenario, scheduler="random", max_executions=3, explain=False)
    assert (result.verdict, result.executions) == (Verdict.VALID, 3), result
