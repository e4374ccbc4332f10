"""What the engine got wrong when it was first tried out. Each case is the smallest program that shows it."""

from __future__ import annotations

import asyncio
import datetime
import os
import random
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.result import Execution
from harness.scenario import Call, Client, Workload
from harness.schedulers.random_walk import RandomWalk
from harness.schedulers.tree.exhaustive import Exhaustive
from tests.harness.counter import counts_to, executions, explored, outcomes, prepared, raced
from tests.harness.sync_programs import ADD, READ, bump, plainly


@dataclass(frozen=True)
class Case:
    """A worker, the verdict that two of it must get, and what else its scenario and run need."""

    worker: Callable[..., Any]
    verdict: str
    defect: str = ""
    total: int = 2
    fields: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


CASES: list[Case] = []


def case(verdict: str, defect: str = "", **more: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a worker; *defect* says what is still wrong."""

    def register(worker: Callable[..., Any]) -> Callable[..., Any]:
        CASES.append(Case(worker, verdict, defect, **more))
        return worker

    return register


def crossing(_: int) -> Workload:
    """Two clients that name the same two files in opposite order."""
    orders = ("db.sqlite", "b"), ("b", "db.sqlite")
    return Workload(tuple(Client((Call("op0", order, number),)) for number, order in enumerate(orders)))


def two_locks_in_opposite_order(db: Path, first: str, second: str) -> None:
    """Each holds one file and waits for the other until a time-out."""
    with plainly(db.with_name(first)) as one, plainly(db.with_name(second)) as other:
        one.execute("BEGIN IMMEDIATE")
        try:
            other.execute("BEGIN IMMEDIATE")
            other.execute("UPDATE t SET n = n + 1")
            other.execute("COMMIT")
        finally:
            one.execute("UPDATE t SET n = n + 1")
            one.execute("COMMIT")


@case("invalid", "asking again is held back until a lock is released, so three times in vain never happens")
def three_tries(db: Path) -> None:
    """A bounded number of tries without sleeping between them."""
    with plainly(db, timeout=0) as connection:
        for _ in range(3):
            with suppress(sqlite3.OperationalError):
                connection.execute("BEGIN IMMEDIATE")
                break
        bump(connection)
        connection.commit()


@case("invalid")
def in_a_thread(db: Path) -> None:
    """The work is done by a thread."""

    def work() -> None:
        with plainly(db) as connection:
            bump(connection)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@case("valid")
def text_of_a_kind(db: Path) -> None:
    """SQL as a subclass of str."""
    with plainly(db) as connection:
        connection.execute(type("Safe", (str,), {})(ADD))


class WithForeignKeys(sqlite3.Connection):
    """A connection that is configured as it is made."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.execute("PRAGMA foreign_keys = ON")


@case("valid")
def configured_connection(db: Path) -> None:
    """``factory=`` with a class whose ``__init__`` executes."""
    with closing(sqlite3.connect(db, factory=WithForeignKeys)) as connection:
        connection.execute(ADD)
        connection.commit()


class Renaming(sqlite3.Connection):
    """A connection that changes the SQL."""

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        """Execute with the table's real name."""
        return super().execute(sql.replace("counter", "t"), *parameters)


@case("valid")
def renaming_connection(db: Path) -> None:
    """``factory=`` with a class that overrides ``execute``."""
    with closing(sqlite3.connect(db, factory=Renaming)) as connection:
        connection.execute(ADD.replace("UPDATE t", "UPDATE counter"))
        connection.commit()


@case("valid")
def all_by_position(db: Path) -> None:
    """Every argument of ``connect`` by position."""
    with closing(sqlite3.connect(db, 5.0, 0, None, True, sqlite3.Connection, 100, False)) as connection:
        connection.execute(ADD)


@case("valid")
def a_datetime_parameter(db: Path) -> None:
    """A datetime made by its constructor, as a parameter."""
    with plainly(db) as connection, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 and later advise against the default adapter
        connection.execute(f"{ADD} AND ? > ''", (datetime.datetime(2024, 1, 1),))


@case("valid")
def seeded(db: Path) -> None:
    """``random.seed`` decides what comes next."""
    random.seed(5)
    assert random.random() == random.Random(5).random()
    with plainly(db) as connection:
        connection.execute(ADD)


@case("valid")
def strftime_now(db: Path) -> None:
    """The year in which executions begin."""
    assert time.strftime("%Y") == "2023"
    with plainly(db) as connection:
        connection.execute(ADD)


@case("valid")
def own_generator(db: Path) -> None:
    """A generator of one's own, unseeded, whose number is a parameter."""
    with plainly(db) as connection:
        connection.execute(f"{ADD} AND ? >= 0", (random.Random().random(),))


@case("valid")
def process_id(db: Path) -> None:
    """The process id as a parameter."""
    with plainly(db) as connection:
        connection.execute(f"{ADD} AND ? > 0", (os.getpid(),))


@case("invalid")
def blobs(db: Path) -> None:
    """A blob read, then written."""
    with plainly(db) as connection:
        with connection.blobopen("t", "n", 3) as blob:
            n = blob.read()[0]
        with connection.blobopen("t", "n", 3) as blob:
            blob.write(bytes([n + 1]))


@case("invalid")
def asyncio_run(db: Path) -> None:
    """An event loop of the worker's own."""
    import aiosqlite

    async def work() -> None:
        async with aiosqlite.connect(db, isolation_level=None) as connection:
            row = await (await connection.execute(READ)).fetchone()
            assert row is not None
            await connection.execute("UPDATE t SET n = ?", (row[0] + 1,))

    asyncio.run(work())


def with_a_blob(db: Path) -> None:
    """The counter, and a row that holds one byte."""
    prepared()(db)
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("INSERT INTO t VALUES (3, x'00')")
        connection.commit()


@pytest.mark.forks
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case, id=case.worker.__name__, marks=[pytest.mark.xfail(reason=case.defect)] if case.defect else []
        )
        for case in CASES
    ],
)
def test_what_was_wrong_is_right(case: Case) -> None:
    """The program gets the verdict it deserves."""
    fields = dict(case.fields)
    rule = counts_to(case.total)
    if case.worker is blobs:
        fields["setup"] = with_a_blob
        rule = counts_to(2, "SELECT CAST(hex(n) AS INTEGER) FROM t WHERE k = 3")
    result = explored(raced(case.worker, at_end=(rule,), **fields), patience=1.0, seconds=10)
    assert str(result.verdict) == case.verdict, result.reasons or result.counterexample


@pytest.mark.forks
@pytest.mark.parametrize("reduction", [True, False])
def test_a_deadlock_of_two_locks_is_explored(reduction: bool) -> None:
    """Two workers that take two locks in opposite order: in some execution, one of them gives up at its time-out."""
    scenario = raced(two_locks_in_opposite_order, setup=prepared(files=["b"]), workload=crossing)
    found = executions(scenario, Exhaustive(reduction))
    assert any(step.gave_up for execution in found for step in execution.steps)


@pytest.mark.forks
def test_the_random_walk_finds_nothing_new() -> None:
    """Whatever outcome a random walk meets, the exhaustive search has it."""
    scenario = raced(two_locks_in_opposite_order, setup=prepared(files=["b"]), workload=crossing, raising_fails=False)
    walk = FewWalks(60)
    assert outcomes(executions(scenario, walk)) <= outcomes(executions(scenario, Exhaustive()))


class FewWalks(RandomWalk):
    """A random walk that ends."""

    def __init__(self, times: int) -> None:
        super().__init__(0)
        self._left = times

    def start(self, previous: Execution | None) -> bool:
        """Begin the next one, as often as was asked for."""
        self._left -= 1
        return super().start(previous) and self._left >= 0
