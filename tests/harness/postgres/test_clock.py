"""The server's clock is virtual, and its readings differ as they do in reality."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from harness.boundary.epoch import EPOCH
from harness.boundary.inherited_locks import Inherited
from harness.control.testbed.shared_database import SharedDatabase
from harness.postgres.clock import by_function
from harness.worker.instrument.postgresql.reading import effect
from tests.harness.postgres.programs import needs_server

pytestmark = [needs_server, pytest.mark.forks]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedDatabase]:
    """A world with a table that is dated, and a role that may do little."""
    with closing(SharedDatabase(tmp_path_factory.mktemp("pg") / "world", Inherited())) as made:
        with connected(made) as connection:
            connection.execute("CREATE TABLE log (id int PRIMARY KEY, at timestamptz DEFAULT now())")
            connection.execute(
                "CREATE FUNCTION strict() RETURNS timestamptz LANGUAGE sql SET search_path = '' AS 'SELECT now()'"
            )
            connection.execute("CREATE ROLE modest LOGIN")
            connection.execute(
                "CREATE TABLE worded (a timestamp DEFAULT CURRENT_TIMESTAMP, b timestamptz(0) DEFAULT CURRENT_TIMESTAMP(0), "
                "c date DEFAULT CURRENT_DATE, d text DEFAULT 'CURRENT_DATE', e text DEFAULT CURRENT_USER, "
                "f timestamptz DEFAULT LOCALTIMESTAMP + interval '1 day')"
            )
            connection.execute(
                "CREATE TABLE dated (id int, at timestamptz DEFAULT CURRENT_TIMESTAMP) PARTITION BY LIST (id)"
            )
            connection.execute("CREATE TABLE dated_1 PARTITION OF dated FOR VALUES IN (1)")
        made.take_template()
        yield made


def connected(world: SharedDatabase) -> psycopg.Connection[Any]:
    """A connection in autocommit."""
    return psycopg.connect(str(world.db), autocommit=True)


def moments(connection: psycopg.Connection[Any], *what: str) -> list[float]:
    """What the server tells, in seconds of virtual time."""
    row = connection.execute(f"SELECT {', '.join(f'extract(epoch FROM {each})' for each in what)}".encode()).fetchone()
    return [round(float(each) - EPOCH, 6) for each in row or ()]


def test_readings_differ_by_a_microsecond(world: SharedDatabase) -> None:
    """Of whichever session, forwards, beginning with the time of the schedule; and in each execution alike."""
    for _ in range(2):
        world.reset()
        world.set_time(2.0)
        with connected(world) as one, connected(world) as other:
            told = [*moments(one, "clock_timestamp()", "clock_timestamp()"), *moments(other, "clock_timestamp()")]
            assert told == [2.000001, 2.000002, 2.000003]
            world.set_time(2.000001)
            assert moments(one, "clock_timestamp()") == [2.000004], "never backwards"
            world.set_time(5.0)
            assert moments(other, "clock_timestamp()") == [5.000001]


def test_a_transaction_has_one_time(world: SharedDatabase) -> None:
    """Whatever is read in between, as time passes; the next one has a later one, and a statement has its own."""
    world.reset()
    with connected(world) as connection:
        with connection.transaction():
            first = moments(
                connection, "now()", "clock_timestamp()", "statement_timestamp()", "now()", "statement_timestamp()"
            )
            world.set_time(3.0)
            connection.execute("SET LOCAL TimeZone = 'Asia/Tokyo'")
            second = moments(connection, "now()", "transaction_timestamp()", "strict()", "statement_timestamp()")
        (third,) = moments(connection, "now()")
    assert first[0] == first[3] == second[0] == second[1] == second[2] < first[1] < 1
    assert first[2] == first[4]
    assert 3 < second[3] < third


def test_rows_are_dated_in_their_order(world: SharedDatabase) -> None:
    """Each transaction's default is later than that of the one before."""
    world.reset()
    with connected(world) as connection:
        for number in (3, 1, 2):
            connection.execute("INSERT INTO log VALUES (%s)", (number,))
        assert connection.execute("SELECT id FROM log ORDER BY at").fetchall() == [(3,), (1,), (2,)]


def test_where_nothing_may_be_written_the_clock_is_read_too(world: SharedDatabase) -> None:
    """In a transaction that only reads, and by a role that may do nothing; without a transaction number."""
    world.reset()
    world.set_time(1.0)
    with connected(world) as connection:
        connection.execute("SET ROLE modest")
        with connection.transaction():
            told = moments(connection, "now()", "clock_timestamp()", "clock_timestamp()")
            assert connection.execute("SELECT pg_current_xact_id_if_assigned()").fetchone() == (None,)
        connection.execute("SET default_transaction_read_only = on")
        with connection.transaction():
            told += moments(connection, "clock_timestamp()", "clock_timestamp()")
    assert told == sorted(set(told))
    assert 1 < told[0] < told[-1] < 1.00001


@pytest.mark.parametrize(
    ("sql", "tells"),
    [
        ("SELECT now()", True),
        ("UPDATE t SET a = pg_catalog.clock_timestamp ()", True),
        ("SELECT 'now()'", False),
        ("SELECT know()", False),
    ],
)
def test_a_statement_that_reads_the_clock_is_told_by_its_text(sql: str, tells: bool) -> None:
    """The order of two that do is seen in what they are told."""
    assert effect(sql).tells_time is tells


def test_defaults_that_ask_by_word_are_told_virtual_time(world: SharedDatabase) -> None:
    """As many tables are dated, of partitions too; what only looks like such a word is left alone."""
    world.reset()
    world.set_time(86400.0)
    with connected(world) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("INSERT INTO worded DEFAULT VALUES")
        connection.execute("INSERT INTO dated VALUES (1)")
        query = "SELECT extract(epoch FROM {})::float8 FROM {}"
        asked = (("a", "worded"), ("b", "worded"), ("f - interval '1 day'", "worded"), ("at", "dated"))
        told = [connection.execute(query.format(*each).encode()).fetchone() for each in asked]
        assert all(row and EPOCH + 86400 - 1 <= row[0] < EPOCH + 86402 for row in told), told
        row = connection.execute("SELECT c - to_timestamp(%s)::date, d, e FROM worded", (EPOCH,)).fetchone()
    assert row == (1, "CURRENT_DATE", "postgres")


@pytest.mark.parametrize(
    ("expression", "same"),
    [
        ("CURRENT_TIMESTAMP", "(now())::timestamp with time zone"),
        (
            "(CURRENT_TIMESTAMP(3) + '01:00:00'::interval)",
            "((now())::timestamp(3) with time zone + '01:00:00'::interval)",
        ),
        ("lower('LOCALTIME ''CURRENT_DATE'::text)", "lower('LOCALTIME ''CURRENT_DATE'::text)"),
        ('f(LOCALTIME, "CURRENT_TIME")', 'f((now())::time without time zone, "CURRENT_TIME")'),
    ],
)
def test_words_that_ask_for_the_time_become_functions(expression: str, same: str) -> None:
    """Not in literals, and not in names."""
    assert by_function(expression) == same
