"""Which of an event loop's tasks runs first, and when one may be cancelled: exactly as under asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from harness.faults import Faults
from harness.points import Point
from harness.result import Execution
from harness.scenario import Call, Check, Client, Scenario, Workload
from harness.schedulers.tree.stateful import Stateful
from harness.values.history import History
from harness.verdict import Verdict
from tests.harness import shelf, turn_programs
from tests.harness.counter import executions, explored, prepared, reduced_and_brute
from tests.harness.turn_programs import Program, random_program, scenario_of, seen_by_asyncio

pytestmark = [pytest.mark.forks, pytest.mark.slow]

ONE_CANCEL = Faults(cancel=True, most=1)


def told(found: list[Execution]) -> set[tuple[object, ...]]:
    """Return what the tasks returned in each execution that ended well."""
    return {
        tuple(outcome.value for outcome in sorted(execution.history.outcomes(), key=lambda outcome: outcome.client))
        for execution in found
        if not execution.abandoned and execution.failure is None
    }


@pytest.mark.parametrize("seed", range(8))
def test_what_asyncio_shows_is_among_what_is_explored(seed: int) -> None:
    """Random tasks over events, a lock and a queue, which arrive over a socket at any time."""
    program = random_program(seed)
    wild = seen_by_asyncio(program, 60, seed)
    assert wild
    assert wild <= told(executions(scenario_of(program), Stateful()))


@pytest.mark.parametrize(
    ("program", "wanted"),
    [
        ((("yield",), ("yield",)), {("0yield", "0yield 1yield"), ("1yield 0yield", "1yield")}),
        (
            (("yield", "yield"), ("yield", "yield")),
            {
                ("0yield 1yield 0yield", "0yield 1yield 0yield 1yield"),
                ("0yield 0yield", "0yield 0yield 1yield 1yield"),
                ("1yield 0yield 1yield 0yield", "1yield 0yield 1yield"),
                ("1yield 1yield 0yield 0yield", "1yield 1yield"),
            },
        ),
        ((("wait",), ("set",)), {("1set 0wait", "1set")}),
    ],
)
def test_only_the_orders_that_asyncio_has(program: Program, wanted: set[tuple[object, ...]]) -> None:
    """Worked out by hand: its queue is first in, first out."""
    found = told(executions(scenario_of(program), Stateful()))
    assert found == wanted


@pytest.mark.parametrize("faults", [Faults(most=0), ONE_CANCEL])
@pytest.mark.parametrize(
    "program", [(("wait",), ("set", "yield")), (("locked",), ("locked",)), (("child",), ("yield",))]
)
def test_pruning_loses_no_outcome_of_turns(program: Program, faults: Faults) -> None:
    """The reduced search finds what trying everything finds."""
    reduced, brute = reduced_and_brute(scenario_of(program, faults=faults, raising_fails=False), most=20_000)
    assert reduced == brute


# Arrivals, timers


class App:
    """An event and a value."""

    def __init__(self) -> None:
        self.event, self.value = asyncio.Event(), ""


async def _app(_: Path) -> App:
    return App()


async def _owner(app: App) -> None:
    app.value = "answer"
    app.event.set()


async def _owner_late(app: App) -> None:
    await asyncio.sleep(0.01)
    await _owner(app)


async def _waiter(app: App) -> str:
    await app.event.wait()
    return app.value


async def _clear(app: App) -> None:
    app.value = "nothing"


async def _clear_late(app: App) -> None:
    await asyncio.sleep(0.01)
    app.value = "nothing"


@pytest.mark.parametrize(("owner", "clear"), [(_owner, _clear), (_owner_late, _clear_late)])
def test_what_comes_with_an_event_runs_before_who_waits_for_it(owner: Any, clear: Any) -> None:
    """And after it, and before it is set: all three."""
    clients = tuple(Client((Call(name),)) for name in ("owner", "waiter", "clear"))
    scenario = Scenario(
        name="ready",
        setup=lambda _: None,
        open=_app,
        workers=1,
        ordered=False,
        operations={"owner": owner, "waiter": _waiter, "clear": clear},
        workload=lambda _: Workload(clients, 1),
    )
    found = executions(scenario, Stateful())
    assert {history.outcomes("waiter")[0].value for history in (each.history for each in found)} == {
        "answer",
        "nothing",
    }


# Cancelling


async def _nothing_but_yields(memory: turn_programs.Memory) -> str:
    memory.log.append("begun")
    await asyncio.sleep(0)
    memory.log.append("half")
    await asyncio.sleep(0)
    memory.log.append("ended")
    return "done"


async def _look(memory: turn_programs.Memory) -> str:
    return " ".join(memory.log)


async def _memory(_: Path) -> turn_programs.Memory:
    return turn_programs.Memory()


def _seen_after_a_cancellation(operation: Callable[..., Any], **more: Any) -> set[object]:
    scenario = Scenario(
        name="cancelled",
        setup=prepared(),
        open=_memory,
        workers=1,
        operations={"op": operation, "look": _look},
        workload=lambda _: Workload((Client((Call("op"), Call("look"))),), 1),
        faults=ONE_CANCEL,
        raising_fails=False,
        **more,
    )
    found = executions(scenario, Stateful())
    return {execution.history.outcomes("look")[0].value for execution in found if not execution.abandoned}


def test_a_task_is_cancelled_where_it_yields() -> None:
    """At each of its waits, and between no two lines without one."""
    assert _seen_after_a_cancellation(_nothing_but_yields) == {"begun", "begun half", "begun half ended"}


async def _fetches(memory: turn_programs.Memory) -> None:
    async with aiosqlite.connect(":memory:") as connection:
        cursor = await connection.execute("SELECT 1")
        memory.log.append("executed")
        await cursor.fetchone()
        memory.log.append("fetched")


def test_the_one_task_of_a_worker_is_cancelled_in_each_call_of_aiosqlite() -> None:
    """Also where nothing is locked: a cursor asked for a row."""
    assert _seen_after_a_cancellation(_fetches) == {"", "executed", "executed fetched"}


class _Baton:
    """Handed over to who waits first. *well*: who is cancelled with it in his hand hands it on."""

    def __init__(self, well: bool) -> None:
        self.well, self.taken = well, False
        self.waiting: list[asyncio.Future[None]] = []

    async def acquire(self) -> None:
        if not self.taken:
            self.taken = True
            return
        mine = asyncio.get_running_loop().create_future()
        self.waiting.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if self.well and mine.done() and not mine.cancelled():
                self.release()
            raise

    def release(self) -> None:
        while self.waiting:
            other = self.waiting.pop(0)
            if not other.done():
                other.set_result(None)
                return
        self.taken = False


async def _use(baton: _Baton) -> None:
    await baton.acquire()
    try:
        await asyncio.sleep(0.1)
    finally:
        baton.release()


@pytest.mark.parametrize("well", [False, True])
def test_a_task_is_cancelled_between_its_wake_up_and_its_turn(well: bool) -> None:
    """Its wait has succeeded, and it hears that it is cancelled."""

    async def opened(_: Path) -> _Baton:
        return _Baton(well)

    scenario = Scenario(
        name="handed over",
        setup=lambda _: None,
        open=opened,
        operations={"use": _use},
        workers=1,
        workload=lambda _: Workload.each("use", workers=1, tasks=3),
        faults=ONE_CANCEL,
    )
    result = explored(scenario)
    assert result.verdict is (Verdict.VALID if well else Verdict.INVALID)
    assert result.complete is well


# Declared points


class Counter:
    """Counts in memory, in coroutines that wait for nothing."""

    value = 0

    async def get(self) -> int:
        """Return the number."""
        return self.value

    async def put(self, value: int) -> None:
        """Set the number."""
        self.value = value


async def _counter(_: Path) -> Counter:
    return Counter()


async def _bump(counter: Counter) -> None:
    await counter.put(await counter.get() + 1)


async def _value(counter: Counter) -> int:
    return counter.value


def test_a_point_around_what_never_waits_makes_no_switch() -> None:
    """Two tasks of one loop: each reads and writes in one go, for nothing in it suspends."""

    def two(history: History, _: Path) -> None:
        assert history.outcomes("value")[0].value != 1 or len(history.outcomes("bump")) < 2

    here = f"{__name__}:Counter"
    scenario = Scenario(
        name="no switch",
        setup=lambda _: None,
        open=_counter,
        operations={"bump": _bump, "value": _value},
        workers=1,
        workload=lambda _: Workload((Client((Call("bump"), Call("bump"), Call("value"))), Client((Call("bump"),))), 1),
        points=(Point(f"{here}.get", "number", reads=True), Point(f"{here}.put", "number")),
        ordered=False,
    )
    found = executions(scenario, Stateful())
    assert {execution.history.outcomes("value")[0].value for execution in found if not execution.abandoned} == {2, 3}


async def _bumps_the_shelf(db: Path) -> None:
    numbers = shelf.Shelf(db.parent / "number")
    numbers.put(await numbers.get_later() + 1)


def test_other_workers_run_at_a_point_around_what_never_waits() -> None:
    """They share what it touches, and not its event loop."""
    result = explored(
        Scenario(
            name="shelf",
            setup=lambda db: (db.parent / "number").write_bytes(b"\0") and None,
            operations={"work": _bumps_the_shelf},
            workload=lambda workers: Workload.each("work", workers=workers),
            at_end=(Check("counts to two", lambda db: (db.parent / "number").read_bytes() == b"\2"),),
            points=(
                Point("tests.harness.shelf:Shelf.get_later", "shelf", reads=True),
                Point("tests.harness.shelf:Shelf.put", "shelf"),
            ),
        )
    )
    assert result.verdict is Verdict.INVALID
