"""What waits for a lock, for a notification, for a time: the server decides, in virtual time."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from harness.control.run import run
from harness.faults import Faults
from harness.scenario import Check
from harness.schedulers.tree.exhaustive import Exhaustive
from harness.values.history import Access, History
from harness.verdict import Verdict
from tests.harness.counter import executions
from tests.harness.postgres.programs import count, needs_server, raced, statements

pytestmark = [needs_server, pytest.mark.forks, pytest.mark.slow]


def told(history: History) -> list[Any]:
    """What each operation returned, in the order of their names."""
    return [outcome.value for outcome in sorted(history.outcomes(), key=lambda outcome: outcome.operation)]


def endings(*operations: Any, **options: Any) -> set[str]:
    """Race *operations* in every order; return what clients were told, all together, in each execution."""
    found = executions(raced(*operations, **options), Exhaustive())
    assert all(execution.failure is None for execution in found), found
    return {repr(told(execution.history)) for execution in found if not execution.abandoned}


def test_who_closes_a_circle_of_waits_is_the_one_that_fails() -> None:
    """The server says so, 40P01, and the other goes on; without the circle nobody fails."""
    lock = "SELECT pg_advisory_xact_lock({})::text"
    found = endings(
        statements(lock.format(1), lock.format(2)),
        statements(lock.format(2), lock.format(1)),
    )
    went = "[['']], [['']]"
    assert found == {f"[[{went}], [{went}]]", f"[[{went}], [[['']], '40P01']]", f"[[[['']], '40P01'], [{went}]]"}


def test_closing_a_session_lets_go_of_the_locks_that_it_kept() -> None:
    """An advisory lock of the session outlives its transactions, and not the session: who waits for it goes on."""
    takes = statements("SELECT pg_advisory_lock(1)::text", autocommit=True)
    reads = statements("SELECT n FROM counter WHERE id = 1", autocommit=True)

    def takes_and_reads(db: Any) -> None:
        takes(db)
        reads(db)

    waited = 0
    for execution in executions(raced(takes_and_reads, takes), Exhaustive()):
        assert execution.failure is None
        for step, following in pairwise(execution.steps):
            waited += following.waited
            if following.resumed:
                assert step.kind == "close", "it goes on at once, before who closed the session does anything else"
    assert waited


def test_rules_are_asked_when_what_a_commit_let_go_has_done_its_work() -> None:
    """A statement in no transaction has its effect with that commit, however long it takes: no state is seen in between."""
    adds = statements("UPDATE counter SET n = n + 1 WHERE id = 1")
    slowly = statements("UPDATE counter SET n = n * 5 + length(pg_sleep(0.02)::text) WHERE id = 1", autocommit=True)
    rule = Check("it is there", lambda db: count(db) >= 0)
    waited = 0
    for execution in executions(raced(adds, slowly, invariants=(rule,)), Exhaustive()):
        if any(step.waited for step in execution.steps) and execution.steps[0].lane == "c0":
            waited += 1
            assert len(set(execution.states)) == 1, execution.steps
    assert waited


def test_a_lock_time_out_passes_in_virtual_time() -> None:
    """Two seconds of waiting for who sleeps for three, and not one in which anybody waits."""

    async def sleeps(db: Any) -> None:
        async with await psycopg.AsyncConnection.connect(db) as connection:
            await connection.execute("SELECT n FROM counter WHERE id = 1 FOR UPDATE")
            await asyncio.sleep(3)

    def waits(db: Any) -> Any:
        began = time.monotonic()
        with psycopg.connect(db, options="-c lock_timeout=2000") as connection:
            try:
                connection.execute("SELECT n FROM counter WHERE id = 1 FOR UPDATE")
            except psycopg.errors.LockNotAvailable as error:
                return [str(error).partition("\n")[0], round(time.monotonic() - began, 3)]
        return "had it"

    assert endings(sleeps, waits) == {
        "[None, 'had it']",
        "[None, ['canceling statement due to lock timeout', 2.0]]",
    }


def test_a_cancelled_task_has_the_server_cancel_its_statement() -> None:
    """The transaction of who waited in vain is undone, and its session can be used."""

    async def sleeps(db: Any) -> None:
        async with await psycopg.AsyncConnection.connect(db) as connection:
            await connection.execute("UPDATE counter SET n = n + 1 WHERE id = 1")
            await asyncio.sleep(3)

    async def gives_up(db: Any) -> str:
        async with await psycopg.AsyncConnection.connect(db) as connection:
            try:
                async with asyncio.timeout(1):
                    await connection.execute("UPDATE counter SET n = n + 10 WHERE id = 1")
                return "done"
            except TimeoutError:
                await connection.rollback()
                return (await (await connection.execute("SELECT 'still here'")).fetchone() or "?")[0]

    assert endings(sleeps, gives_up) == {"[None, 'done']", "[None, 'still here']"}


def test_a_notification_reaches_who_listens_before_it_is_sent() -> None:
    """And nobody else: that one waits until its time is over."""

    async def hears(db: Any) -> Any:
        async with await psycopg.AsyncConnection.connect(db, autocommit=True) as connection:
            await connection.execute("LISTEN topic")
            async for notification in connection.notifies(timeout=2, stop_after=1):
                return notification.payload
            return "nothing"

    assert endings(hears, statements("SELECT pg_notify('topic', 'hello')::text", autocommit=True)) == {
        "['hello', [[['']]]]",
        "['nothing', [[['']]]]",
    }


def test_the_server_tells_virtual_time() -> None:
    """By its functions and as the default of a column; and draws the same randomness every time."""

    def dated(db: Any) -> Any:
        began = time.time()
        with psycopg.connect(db, autocommit=True) as connection:
            time.sleep(5)
            connection.execute("INSERT INTO log (key) VALUES ('a')")
            row = connection.execute(
                "SELECT extract(epoch FROM clock_timestamp())::float8, extract(epoch FROM now())::float8, "
                "(SELECT extract(epoch FROM at)::float8 FROM log), gen_random_uuid()::text"
            ).fetchone()
        assert row is not None
        return [*(round(each - began, 3) for each in row[:3]), row[3]]

    (first,) = endings(dated)
    assert first.startswith("[[5.0, 5.0, 5.0, '"), first
    assert endings(dated) == {first}


def test_a_word_that_tells_real_time_is_named() -> None:
    """CURRENT_TIMESTAMP is no function, so no other can be put in its place."""
    result = run(raced(statements("SELECT CURRENT_TIMESTAMP IS NOT NULL")), max_executions=1)
    assert any("real" in note or "virtual" in note for note in result.notes), result.notes


def test_a_killed_worker_leaves_what_it_had_committed() -> None:
    """Killed between two commits it leaves half; what it had not committed is undone before others go on."""

    def halves(autocommit: bool) -> Any:
        return statements(
            "UPDATE counter SET n = n + 1 WHERE id = 1", "INSERT INTO log (key) VALUES (NULL)", autocommit=autocommit
        )

    def agree(db: Any) -> bool:
        with psycopg.connect(db) as connection:
            row = connection.execute("SELECT count(*) FROM log").fetchone()
        assert row is not None
        return bool(row[0] == count(db))

    faults = Faults(kill=True, most=1)
    rule = Check("as many rows as counted", agree)
    broken = run(raced(halves(True), halves(True), at_end=(rule,), faults=faults), max_executions=50)
    assert broken.verdict is Verdict.INVALID, broken
    whole = run(raced(halves(False), at_end=(rule,), faults=faults), scheduler="exhaustive", max_executions=50)
    assert (whole.verdict, whole.complete) == (Verdict.VALID, True), whole


def test_an_injected_error_is_the_servers_own() -> None:
    """The transaction is over, as after a real one, and nothing of it stays."""
    faults = Faults(errors=("full",), most=1)
    adds = statements("UPDATE counter SET n = n + 1 WHERE id = 1")
    found = executions(raced(adds, faults=faults), Exhaustive())
    assert {repr(told(execution.history)) for execution in found} >= {"[[1]]", "[['53100']]"}


def test_who_begins_anew_may_have_asked_the_server() -> None:
    """Opening an application may read anything, so for its worker to begin anew depends on what others write."""
    adds = statements("UPDATE counter SET n = n + 1 WHERE id = 1")
    scenario = raced(adds, adds, faults=Faults(kill=True, most=1), open=lambda url: url)
    found = executions(scenario, Exhaustive(), most=4_000)
    anew = [step for execution in found for step in execution.steps if step.kind == "restart"]
    assert anew
    assert all(Access("*", "w") in step.accesses for step in anew)
