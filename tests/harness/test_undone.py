"""What a ROLLBACK of another task, or a kill, takes back is named."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from harness.reports.text.why import sentences
from harness.scenario import Call, Check, Client, Scenario, Workload
from harness.values.history import Access, Step
from harness.values.lost_writes import Undone, undone
from tests.harness.counter import explored

LOCK, DATA = Access("lock:db", "w"), Access("data:db", "w")


def step(lane: str, text: str, *accesses: Access, kind: str = "sql", worker: int = 0, waited: bool = False) -> Step:
    """Return a step of *lane* that ran *text*."""
    return Step(f"w{worker}:{lane}", worker, lane, kind, text, "", None, 0.0, accesses, waited)


BEGIN, INSERT = step("c0", "BEGIN IMMEDIATE", LOCK), step("c0", "INSERT INTO t VALUES (1)")
ROLLBACK = step("c1", "ROLLBACK", LOCK, DATA, kind="rollback")
KILL = step("", "SIGKILL", kind="kill")


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([BEGIN, INSERT, ROLLBACK], [Undone(2, (1,))]),
        ([BEGIN, INSERT, ROLLBACK._replace(lane="c0")], []),
        ([BEGIN, INSERT, ROLLBACK._replace(worker=1)], []),
        ([BEGIN, INSERT, step("c0", "COMMIT", LOCK, DATA, kind="commit"), ROLLBACK], []),
        ([INSERT._replace(accesses=(LOCK, DATA)), ROLLBACK], []),
        ([BEGIN._replace(waited=True), INSERT, ROLLBACK], []),
        ([BEGIN, INSERT, step("c1", "ROLLBACK", kind="rollback"), ROLLBACK], [Undone(3, (1,))]),
        ([INSERT._replace(accesses=(LOCK,)), KILL], [Undone(1, (0,))]),
        ([BEGIN, KILL], []),
        ([BEGIN, INSERT, KILL._replace(worker=1)], []),
    ],
)
def test_only_what_shares_the_open_transaction_is_undone(steps: list[Step], expected: list[Undone]) -> None:
    """A write that took a lock or changed data of its own is another connection's; a commit keeps what was written."""
    assert list(undone(steps)) == expected


def table(db: Path) -> None:
    """Make an empty table."""
    with sqlite3.connect(db) as connection:
        connection.execute("CREATE TABLE t (v)")


async def opened(db: Path) -> aiosqlite.Connection:
    """Return the one connection of a worker."""
    return await aiosqlite.connect(db)


async def closed(connection: aiosqlite.Connection) -> None:
    """Close it."""
    await connection.close()


async def inserts(connection: aiosqlite.Connection) -> None:
    """Add a row."""
    await connection.execute("INSERT INTO t VALUES ('kept')")
    await connection.commit()


async def thinks_better(connection: aiosqlite.Connection) -> None:
    """Add a row and take it back."""
    await connection.execute("INSERT INTO t VALUES ('gone')")
    await connection.rollback()


def kept(db: Path) -> None:
    """The row of the call that succeeded is there."""
    with sqlite3.connect(db) as connection:
        assert connection.execute("SELECT count(*) FROM t WHERE v = 'kept'").fetchone() == (1,)


@pytest.mark.forks
def test_a_rollback_on_a_shared_connection_is_explained() -> None:
    """It is said whose ROLLBACK took back whose INSERT, and why it could."""
    calls: Any = Workload((Client((Call("inserts"),)), Client((Call("thinks_better"),))), 1)
    scenario = Scenario(
        name="shared", setup=table, open=opened, close=closed, workers=1, workload=lambda _: calls,
        operations={"inserts": inserts, "thinks_better": thinks_better}, at_end=(Check("kept", kept),),
    )  # fmt: skip
    result = explored(scenario, explain=True)
    assert result.explanation is not None
    assert result.counterexample is not None
    said = next(text for text in sentences(result.explanation, result.counterexample) if "share a connection" in text)
    assert said.startswith("Client c1's ROLLBACK (test_undone.py:")
    assert "took back client c0's INSERT (test_undone.py:" in said
