"""Programs over ``aiosqlite`` and ``asyncio``: their races are found, and time passes at once."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from harness.control.run import run
from harness.faults import Faults
from harness.result import Failure, Result
from harness.scenario import Call, Check, Client, Workload
from harness.schedulers.tree.exhaustive import Exhaustive
from harness.verdict import Verdict
from tests.harness.counter import MODES, counts_to, executions, explored, raced
from tests.harness.sync_programs import ADD, READ, WRITE

pytestmark = pytest.mark.forks

END = (counts_to(2),)


def failure(result: Result) -> Failure:
    """Return how the counterexample ends."""
    assert result.verdict is Verdict.INVALID, result.reasons or result.bound
    assert result.counterexample is not None
    assert result.counterexample.failure is not None
    return result.counterexample.failure


def check_valid(result: Result) -> None:
    """Every interleaving was covered, and each is right."""
    assert (result.verdict, result.complete) == (Verdict.VALID, True), result.reasons or result.counterexample


def plainly(db: Path, **options: Any) -> aiosqlite.Connection:
    """Return a connection in autocommit mode."""
    return aiosqlite.connect(db, isolation_level=None, **options)


async def bump(connection: aiosqlite.Connection) -> None:
    """Increment by reading and writing back."""
    async with connection.execute(READ) as cursor:
        row = await cursor.fetchone()
    assert row is not None
    await connection.execute(WRITE, (row[0] + 1,))


async def autocommit(db: Path) -> None:
    """Read and write back, each by itself."""
    async with plainly(db) as connection:
        await bump(connection)


async def immediate(db: Path) -> None:
    """BEGIN IMMEDIATE around both."""
    async with plainly(db) as connection:
        await connection.execute("BEGIN IMMEDIATE")
        await bump(connection)
        await connection.execute("COMMIT")


@pytest.mark.parametrize("mode", MODES)
def test_a_lost_update_is_found(mode: str) -> None:
    """Read and write back without a transaction, in two workers: one preemption loses an increment."""
    result = explored(raced(autocommit, mode, at_end=END))
    assert failure(result).kind == "at end"
    assert result.counterexample is not None
    assert result.counterexample.preemptions == 1


@pytest.mark.parametrize("mode", MODES)
def test_an_immediate_transaction_loses_no_update(mode: str) -> None:
    """With BEGIN IMMEDIATE around both, each increment counts in every interleaving."""
    check_valid(explored(raced(immediate, mode, at_end=END)))


async def opened(db: Path) -> aiosqlite.Connection:
    """Open the worker's one connection."""
    return await plainly(db)


async def closed(connection: aiosqlite.Connection) -> None:
    """Close it."""
    await connection.close()


async def adds(connection: aiosqlite.Connection) -> None:
    """Increment in one statement."""
    await connection.execute(ADD)


def both_at_one_worker(_: int) -> Workload:
    """Two clients of worker 0."""
    return Workload(tuple(Client((Call("op0", (), 0),)) for _ in range(2)), 1)


@pytest.mark.parametrize(("worker", "right"), [(bump, False), (adds, True)])
def test_two_coroutines_share_a_connection(worker: Any, right: bool) -> None:
    """Two clients of one worker race each other over its connection, though there is but one process."""
    scenario = raced(worker, open=opened, close=closed, workload=both_at_one_worker, workers=1, at_end=END)
    result = explored(scenario)
    if right:
        check_valid(result)
    else:
        assert failure(result).kind == "at end"


MADE: ContextVar[list[int]] = ContextVar("made")


async def makes(db: Path) -> Path:
    """Put something into a context variable that no execution before has."""
    assert MADE.get(None) is None
    MADE.set([])
    return db


async def finds_it(_: Path) -> int:
    """Return how many calls have found it before."""
    found = MADE.get()
    found.append(1)
    return len(found)


def test_calls_find_what_opening_put_into_context_variables() -> None:
    """Those of one worker share it, like tasks that the one that opens had started; the next execution begins without it."""
    both = Check("both find the same", lambda history, _: {call.value for call in history.outcomes()} == {1, 2})
    scenario = raced([finds_it], open=makes, workload=both_at_one_worker, workers=1, postconditions=(both,))
    check_valid(explored(scenario))


async def gathers(db: Path) -> None:
    """Increment twice at once, over two connections."""
    await asyncio.gather(autocommit(db), autocommit(db))


async def add_once(db: Path) -> None:
    """Increment in one statement."""
    async with plainly(db) as connection:
        await connection.execute(ADD)


async def gathers_in_order(db: Path) -> None:
    """Increment twice at once, each time in one statement."""
    await asyncio.gather(add_once(db), add_once(db))


@pytest.mark.parametrize(("worker", "right"), [(gathers, False), (gathers_in_order, True)])
def test_the_tasks_of_one_call_race_each_other(worker: Any, right: bool) -> None:
    """What ``gather`` starts is interleaved like calls of different clients."""
    result = explored(raced([worker], at_end=END))
    if right:
        check_valid(result)
    else:
        assert failure(result).kind == "at end"
        assert result.counterexample is not None
        assert {"c0/1", "c0/2"} <= {step.lane for step in result.counterexample.steps}


async def sleeps_an_hour(db: Path) -> None:
    """Sleep between two reads of the clock, then increment."""
    before = time.time()
    await asyncio.sleep(3600)
    assert 3600 <= time.time() - before < 3600.1
    async with plainly(db) as connection:
        await connection.execute(ADD)


def test_sleeping_takes_no_real_time() -> None:
    """An hour is over at once, and the clock of the code under test says that it passed."""
    result = explored(raced(sleeps_an_hour, at_end=END), patience=2.0)
    check_valid(result)


async def holds_for_four_seconds(db: Path) -> None:
    """Hold the lock for four seconds."""
    async with plainly(db) as connection:
        await connection.execute("BEGIN IMMEDIATE")
        await asyncio.sleep(4)
        await connection.execute(ADD)
        await connection.execute("COMMIT")


def waits_for(seconds: float) -> Any:
    """Return a worker that gives a statement only so long to get the lock."""

    async def waits(db: Path) -> str:
        async with plainly(db) as connection:
            try:
                await asyncio.wait_for(connection.execute(ADD), seconds)
            except TimeoutError:
                return "too late"
            return "in time"

    return waits


@pytest.mark.parametrize(
    ("seconds", "answers"),
    [(1, {"in time", "too late"}), (4, {"in time", "too late"}), (4.5, {"in time"})],
)
def test_a_statement_that_waits_for_a_lock_can_time_out(seconds: float, answers: set[str]) -> None:
    """``wait_for`` around it gives up when its time may be over before the statement has been carried out, and only then.

    When both come at one time, the statement calls the time-out off if it comes first; so that is not seen to race with it.
    Nor is who waits held up until its own time is over.
    """
    scenario = raced([holds_for_four_seconds, waits_for(seconds)])
    found = [execution for execution in executions(scenario, Exhaustive()) if not execution.abandoned]
    assert {outcome.value for each in found for outcome in each.history.outcomes("op1")} == answers


async def waits_for_nobody(db: Path) -> None:
    """Wait for an event that nobody sets."""
    await asyncio.Event().wait()


def test_an_event_that_nobody_sets_is_a_deadlock() -> None:
    """It is found, and the line is named at which the call waits."""
    found = failure(explored(raced(waits_for_nobody)))
    assert found.kind == "deadlock"
    line = waits_for_nobody.__code__.co_firstlineno + 2
    assert f"test_async.py:{line}" in found.message


async def polls(db: Path) -> None:
    """Ask until something is there that never comes."""
    async with plainly(db) as connection:
        while True:
            async with connection.execute("SELECT n FROM t WHERE n < 0") as cursor:
                if await cursor.fetchone() is not None:
                    return
            await asyncio.sleep(0.1)


def test_endless_polling_is_no_progress() -> None:
    """A call that no fair schedule ends is a failure, and is named."""
    found = failure(run(raced([polls], steps=60), max_executions=5))
    assert found.kind == "no progress"
    assert "op0" in found.message


async def leaves_it_open(db: Path) -> None:
    """Add in a transaction of a connection that nobody closes."""
    connection = await plainly(db)
    await connection.execute("BEGIN IMMEDIATE")
    await connection.execute(ADD)


def test_a_worker_that_leaves_a_connection_open_is_brought_to_its_end() -> None:
    """A call may end with a connection open: the worker closes it when all is over, and what was not committed is gone."""
    check_valid(explored(raced([leaves_it_open], at_end=(counts_to(0),))))


async def begins(app: Any) -> None:
    """Wait once, so that a call has a first turn and more."""
    await asyncio.sleep(0)


def test_a_call_that_is_cancelled_before_its_first_step_ends() -> None:
    """Its task never runs; nobody knows whether it did, and nothing waits for it."""
    result = explored(raced(begins, faults=Faults(cancel=True, most=1)), scheduler="exhaustive")
    assert (result.verdict, result.complete) == (Verdict.VALID, True), result.reasons or result.counterexample
