"""Cancellation at every suspension of every write: no lock held, no half state, a retry is answered."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reference_impl import Service, open_service
from reference_impl.agents import ENDPOINT, fingerprint_of
from reference_impl.backend import Address
from reference_impl.errors import ActiveTokenExists, DatabaseBusy
from reference_impl.reservations import Proceed, Reservations
from reference_impl.schema import JournalMode
from tests.reference_impl.conftest import Make, Rows
from tests.reference_impl.stepping import (
    CancelledAfter,
    CancelledBefore,
    CancelledOften,
    Stepped,
    awaiting,
    closed,
)

Call = Callable[[Service], Coroutine[Any, Any, Any]]


def issue(service: Service) -> Coroutine[Any, Any, Any]:
    """Issue a token to ``ada``."""
    return service.tokens.issue("ada")


def rotate(service: Service) -> Coroutine[Any, Any, Any]:
    """Rotate the token of ``ada``."""
    return service.tokens.rotate("ada")


def revoke(service: Service) -> Coroutine[Any, Any, Any]:
    """Revoke a token that ``ada`` does not have."""
    return service.tokens.revoke("ada", "none")


def add(service: Service) -> Coroutine[Any, Any, Any]:
    """Add an agent."""
    return service.agents.add("Eve", caller="c", key="k")


def add_taken(service: Service) -> Coroutine[Any, Any, Any]:
    """Add an agent whose slug is taken."""
    return service.agents.add("Ada", caller="c", key="k")


async def suspensions(path: Path, call: Call) -> int:
    """How often a call is suspended when nothing gets in its way."""
    async with closed(await open_service(path)) as service:
        stepped = Stepped(call(service), -1)
        await asyncio.gather(awaiting(stepped), return_exceptions=True)
        return stepped.suspensions


async def cancelled(path: Path, call: Call, how: type[Stepped[Any]], at: int) -> None:
    """Cancel *call*, hold on to its error, and retry at once in the same worker and in another."""
    async with closed(await open_service(path)) as service, closed(await open_service(path)) as other:
        kept: list[BaseException] = []
        try:
            await how(call(service), at)
        except asyncio.CancelledError as error:
            kept.append(error)  # its traceback keeps frames, their futures and cursors alive
        assert kept
        for each in (service, other):
            answers = await asyncio.gather(each.tokens.issue("bob"), call(each), return_exceptions=True)
            assert not any(isinstance(answer, sqlite3.Error | DatabaseBusy) for answer in answers), answers
        assert isinstance(answers[0], ActiveTokenExists)


@pytest.mark.slow
@pytest.mark.parametrize("how", [CancelledBefore, CancelledOften, CancelledAfter])
@pytest.mark.parametrize("call", [issue, rotate, revoke, add, add_taken])
def test_cancelling_anywhere_leaves_nothing_behind(
    make: Make, rows: Rows, mode: JournalMode, call: Call, how: type[Stepped[Any]]
) -> None:
    """Wherever the call is cancelled, the database is free and whole, and retries get definite answers."""

    def database() -> Path:
        path = make(mode=mode)
        if call is rotate:
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute("INSERT INTO tokens (id, agent_id, secret_hash, issued_at) VALUES ('t', '1', '', 0)")
        return path

    before = threading.enumerate()
    number = asyncio.run(suspensions(database(), call))
    assert number >= 2
    for at in range(number):
        path = database()
        asyncio.run(cancelled(path, call, how, at))
        active = rows(path, "SELECT agent_id FROM tokens WHERE revoked_at IS NULL ORDER BY agent_id")
        assert active == ([("1",), ("2",)] if call in (issue, rotate) else [("2",)])
        slugs = rows(path, "SELECT slug FROM agents ORDER BY rowid")
        assert slugs == [("ada",), ("bob",), ("eve",)][: 3 if call is add else 2]
        assert rows(path, "SELECT count(*) FROM reservations WHERE state <> 'finished'") == [(0,)]
    for thread in threading.enumerate():
        if thread not in before:
            thread.join(1)
            assert not thread.is_alive()


def test_a_begin_cancelled_while_it_waits_gives_the_lock_back(file: Path) -> None:
    """A cancelled BEGIN that gets the lock later does not keep it."""

    async def main() -> None:
        async with closed(await open_service(file)) as service:
            await service.tokens.get_active("ada")  # so that a connection is open and BEGIN is what comes first
            with closing(sqlite3.connect(file, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(asyncio.CancelledError):
                    await CancelledBefore(service.tokens.issue("ada"), 0)
                other.execute("ROLLBACK")
            await service.tokens.issue("ada")

    asyncio.run(main())


def test_a_reservation_cancelled_while_it_waits_is_given_back(file: Path) -> None:
    """A cancelled reservation that is made later, when the lock is free, does not stay."""

    async def main() -> None:
        async with closed(await open_service(file, patience=0.5)) as service:
            await service.agents.list()
            with closing(sqlite3.connect(file, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                task = asyncio.create_task(add(service))
                for _ in range(10):  # until the statement is with the connection's thread
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                other.execute("ROLLBACK")
            assert (await add(service)).slug == "eve"

    asyncio.run(main())


def test_a_waiter_that_is_cancelled_disturbs_nobody(path: Address) -> None:
    """When the owner gives up, the waiter that is left goes on."""

    async def main() -> None:
        async with closed(await open_service(path)) as service:
            reservations = service.agents._reservations
            owner = await reservations.try_reserve(
                "k", caller="c", endpoint=ENDPOINT, fingerprint=fingerprint_of("Eve")
            )
            assert isinstance(owner, Proceed)
            tasks = [asyncio.create_task(add(service)) for _ in range(2)]
            while not all(_waits(task) for task in tasks):
                await asyncio.sleep(0)
            tasks[0].cancel()
            await asyncio.wait(tasks[:1])
            await reservations.release(owner.reservation)
            assert (await tasks[1]).slug == "eve"
            assert tasks[0].cancelled()

    asyncio.run(main())


def _waits(task: asyncio.Task[Any]) -> bool:
    """Whether the innermost thing the task awaits is an event."""
    awaited: Any = task.get_coro()
    while (inner := getattr(awaited, "cr_await", None)) is not None:
        if getattr(inner, "__qualname__", "") == "Event.wait":
            return True
        awaited = inner
    return False


def test_a_second_cancellation_does_not_stop_the_release(path: Address, rows: Rows) -> None:
    """Cancelled while it gives its key back, a failed request still gives it back."""

    async def failing(service: Service) -> None:
        reservations = Reservations(service.database)
        outcome = await reservations.try_reserve("k", caller="c", endpoint="e", fingerprint="f")
        assert isinstance(outcome, Proceed)
        async with reservations.holding(outcome.reservation):
            raise ZeroDivisionError

    async def main() -> None:
        async with closed(await open_service(path)) as service:
            counting = Stepped(failing(service), -1)
            with pytest.raises(ZeroDivisionError):
                await counting
            with pytest.raises(asyncio.CancelledError):
                # Nothing to open the second time; the last suspension is where the release is awaited.
                await CancelledBefore(failing(service), counting.suspensions - 1)

    asyncio.run(main())
    assert rows(path, "SELECT state, generation FROM reservations") == [("released", 2)]
