"""The races of this project: `harness gate` runs the scenarios in `ALL`. `harness init` wrote this first one.

Two workers add to one counter. Each must count, in whatever order their statements come. Put your own operations in the
place of `add_one`, and say in `at_end` what must hold.
"""

import sqlite3
from dataclasses import replace
from pathlib import Path

from harness import Check, Scenario, Workload


def setup(db: Path) -> None:
    """Make the state that the workers share, once; `db` is the path of the database file."""
    with sqlite3.connect(db) as connection:
        connection.execute("CREATE TABLE counter (n)")
        connection.execute("INSERT INTO counter VALUES (0)")


def add_one(db: Path) -> None:
    """Take the write lock first, so that nobody else can write between the reading and the writing."""
    connection = sqlite3.connect(db, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    (n,) = connection.execute("SELECT n FROM counter").fetchone()
    connection.execute("UPDATE counter SET n = ?", (n + 1,))
    connection.execute("COMMIT")
    connection.close()


def add_one_without_a_lock(db: Path) -> None:
    """Read in one transaction and write in another: the seeded bug that the gate must find."""
    connection = sqlite3.connect(db, isolation_level=None)
    (n,) = connection.execute("SELECT n FROM counter").fetchone()
    connection.execute("UPDATE counter SET n = ?", (n + 1,))
    connection.close()


def both_count(db: Path) -> bool:
    """Return whether no increment was lost."""
    connection = sqlite3.connect(db)
    (n,) = connection.execute("SELECT n FROM counter").fetchone()
    connection.close()
    return bool(n == 2)


COUNTER = Scenario(
    name="counter",
    story="Two workers add one to the same counter.",
    setup=setup,
    operations={"add one": add_one},
    workload=lambda workers: Workload.each("add one", workers=workers),
    at_end=(Check("both count", both_count),),
)

NO_LOCK = replace(COUNTER, operations={"add one": add_one_without_a_lock}, variant="no-lock")
"""The gate fails if it does not catch this variant: that keeps the rules honest."""

ALL = (replace(COUNTER, variants={"no-lock": NO_LOCK}),)
