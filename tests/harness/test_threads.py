"""Threads inside a worker: every order of their points is tried, no wait of theirs is real, and nothing hangs."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.faults import Faults
from harness.reports.text.transcript import transcript
from harness.scenario import Scenario
from harness.schedulers.tree.exhaustive import Exhaustive
from harness.verdict import Verdict
from tests.harness.counter import counts_to, executions, explored, raced, reduced_and_brute
from tests.harness.thread_programs import PROGRAMS, Program, add, read_then_write, together

pytestmark = pytest.mark.forks


def alone(program: Program) -> Scenario:
    """Return one worker that runs *program* once."""
    sql = "SELECT count(*) FROM t WHERE n = 7" if program.total == 1 else "SELECT n FROM t WHERE k = 1"
    return raced([program.worker], at_end=(counts_to(program.total, sql),))


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_each_program_is_judged_right(program: Program) -> None:
    """Threads of one worker: valid and complete if it is right, else the failure that it must come to."""
    result = explored(alone(program))
    if not program.fails:
        assert (result.verdict, result.complete) == (Verdict.VALID, True), result.reasons or result.counterexample
    else:
        assert result.counterexample is not None, result.reasons
        assert result.counterexample.failure is not None
        assert result.counterexample.failure.kind == program.fails


@pytest.mark.slow
@pytest.mark.parametrize("program", [program for program in PROGRAMS if program.soon_done], ids=str)
def test_pruning_loses_no_outcome(program: Program) -> None:
    """The reduced search finds the outcomes that trying everything finds."""
    reduced, brute = reduced_and_brute(replace(alone(program), raising_fails=False))
    assert reduced == brute


def test_a_deadlock_names_the_lines() -> None:
    """Who waits for whom is said: the lane, the line and the lock."""
    (program,) = [program for program in PROGRAMS if str(program) == "locks_in_two_orders"]
    result = explored(alone(program))
    assert result.counterexample is not None
    text = transcript(result.counterexample, width=400)
    for part in (
        "c0 waits at",
        "(join c0/1)",
        "c0/1 waits at thread_programs.py:",
        "(acquire lock of thread_programs.py:",
    ):
        assert part in text


# --- several workers, faults ----------------------------------------------------------------------


def two_under_a_lock(db: Path) -> None:
    """Count to two, in threads that exclude each other."""
    lock = threading.Lock()

    def work() -> None:
        with lock:
            read_then_write(db)

    together(work, work)


@pytest.mark.slow
def test_a_lock_excludes_no_other_worker() -> None:
    """Threads in two workers at once: each worker has its own lock, so updates are lost between them."""
    result = explored(raced(two_under_a_lock, at_end=(counts_to(4),)))
    assert result.counterexample is not None
    assert {step.worker for step in result.counterexample.steps} == {0, 1}
    assert {"c0/1", "c1/2"} <= {step.lane for step in result.counterexample.steps}


def two_adding(db: Path) -> None:
    """Count to two, each thread in one statement under the lock."""
    lock = threading.Lock()

    def work() -> None:
        with lock:
            add(db)

    together(work, work)


@pytest.mark.slow
def test_threads_die_with_their_worker() -> None:
    """A worker killed at any point takes its threads and locks along, and the fresh one begins without."""
    scenario = raced([two_adding], faults=Faults(kill=True, most=1), raising_fails=False)
    found = executions(scenario, Exhaustive())
    killed = [execution for execution in found if any(step.kind == "kill" for step in execution.steps)]
    assert {execution.failure for execution in found} == {None}
    assert any(step.lane == "c0/2" for execution in killed for step in execution.steps)


# --- what is left ---------------------------------------------------------------------------------


def waits_for_ever(db: Path) -> None:
    """Leave a thread that nobody will wake."""
    threading.Thread(target=threading.Event().wait, name="T").start()
    add(db)


def waits_as_a_daemon(db: Path) -> None:
    """Leave one that does not keep the process from ending."""
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    add(db)


POOL = ThreadPoolExecutor(1)


def leaves_a_pool(db: Path) -> None:
    """Use a pool of the module, whose thread then has nothing to do."""
    for done in as_completed([POOL.submit(add, db)]):
        done.result()


@pytest.mark.parametrize(
    ("worker", "left"), [(waits_for_ever, "thread 'T' started at"), (waits_as_a_daemon, ""), (leaves_a_pool, "")]
)
def test_what_is_left_running_is_named(worker: Callable[[Path], None], left: str) -> None:
    """A thread that would keep the process from ending is named, a daemon or an idle one is not; all are unwound."""
    for execution in executions(raced([worker]), Exhaustive()):
        assert execution.failure is None
        assert bool(execution.history.left_open) == bool(left)
        assert left in "".join(execution.history.left_open)


def opened(db: Path) -> tuple[queue.Queue[Any], threading.Thread, Path]:
    """Make an application with a thread of its own, which adds what it is sent."""
    asked: queue.Queue[Any] = queue.Queue()

    def serve() -> None:
        while (done := asked.get()) is not None:
            add(db)
            done.set()

    thread = threading.Thread(target=serve)
    thread.start()
    return asked, thread, db


def ask(app: tuple[queue.Queue[Any], threading.Thread, Path]) -> None:
    """Have the thread add one, and add one."""
    done = threading.Event()
    app[0].put(done)
    add(app[2])
    done.wait()


def close(app: tuple[queue.Queue[Any], threading.Thread, Path]) -> None:
    """End the application."""
    app[0].put(None)
    app[1].join()


def test_an_application_may_have_threads() -> None:
    """A thread that opening has started is raced too, and one that closing ends is not left."""
    found = executions(raced([ask], open=opened, close=close, at_end=(counts_to(2),)), Exhaustive())
    assert len(found) > 1
    assert {(execution.failure, execution.history.left_open) for execution in found} == {(None, ())}


# --- time, errors, objects ------------------------------------------------------------------------


def timed(db: Path) -> float:
    """Wait for a timer, and longer than it takes for a lock; return how long that was."""
    timer = threading.Timer(30, add, (db, 2))
    timer.start()
    timer.join(10)
    assert timer.is_alive()
    timer.join()
    lock = threading.Lock()
    with lock:
        assert not lock.acquire(timeout=5)
    return time_passed()


def time_passed() -> float:
    """Return virtual seconds."""
    import time

    return time.monotonic()


def test_time_outs_are_virtual() -> None:
    """``Timer``, ``join`` and ``acquire`` wait in virtual time, which is 35 seconds at the end where nobody is held up."""
    (execution,) = executions(raced([timed], at_end=(counts_to(2),), delays=0), Exhaustive())
    # And a millionth of a second: of two readings of a clock the later one is later.
    assert [event.value for event in execution.history.events if event.kind == "ok"] == [pytest.approx(35.0, abs=1e-5)]


def raises(db: Path) -> None:
    """Have a thread raise, and see that it is the hook that hears of it."""

    def work() -> None:
        assert threading.current_thread() is thread
        assert thread.ident == threading.get_ident()
        add(db)
        raise ValueError("boom")

    heard: list[Any] = []
    before, threading.excepthook = threading.excepthook, heard.append
    thread = threading.Thread(target=work)
    try:
        thread.start()
        thread.join()
    finally:
        threading.excepthook = before
    assert [(arguments.exc_type, arguments.thread) for arguments in heard] == [(ValueError, thread)]


def test_an_exception_goes_to_the_hook() -> None:
    """The thread is its own ``current_thread``; what it raises goes to ``threading.excepthook``."""
    assert explored(raced([raises])).verdict is Verdict.VALID


own = threading.local()


def keeps_its_own(db: Path) -> None:
    """Keep a connection in each thread."""

    def work() -> None:
        assert not hasattr(own, "connection")
        own.connection = sqlite3.connect(db, isolation_level=None)
        own.connection.execute("UPDATE t SET n = n + 1 WHERE k = 1")

    together(work, work)


def test_what_a_thread_keeps_for_itself_goes_with_it() -> None:
    """``threading.local`` is empty in each new thread, in every execution."""
    result = explored(raced([keeps_its_own], at_end=(counts_to(2),)))
    assert (result.verdict, result.complete) == (Verdict.VALID, True)


def takes_a_lock_twice(db: Path) -> None:
    """Take an RLock, and take it again, as CPython's own lets its owner."""
    lock = threading.RLock()
    assert lock.acquire() is True
    assert lock.acquire(blocking=False) is True
    with lock as taken:
        assert taken is True


def test_a_lock_taken_twice_says_so_as_cpythons_own_does() -> None:
    """``acquire`` of an RLock returns True each time, not how often it is taken."""
    takes_a_lock_twice(Path())
    result = explored(raced([takes_a_lock_twice]))
    assert result.verdict is Verdict.VALID, result.counterexample


def test_between_two_looks_at_an_event_another_thread_may_set_it() -> None:
    """``Event.is_set`` takes no lock, and is a schedule point all the same."""
    seen = set()

    def work(db: Path) -> list[bool]:
        event = threading.Event()
        looks: list[bool] = []
        together(event.set, lambda: looks.extend((event.is_set(), event.is_set())))
        return looks

    for execution in executions(raced([work]), Exhaustive()):
        seen.add(str(execution.history.outcomes()[0].value))
    assert seen == {"[False, False]", "[False, True]", "[True, True]"}


class Service:
    """What a module makes when it is imported."""

    shared = threading.Lock()

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.out_of_reach = [threading.Lock()]


SERVICE = Service()


def under_locks_made_before(db: Path) -> None:
    """Count under locks that are attributes."""

    def work() -> None:
        with SERVICE.lock, Service.shared:
            read_then_write(db)

    together(work, work)


def under_a_lock_out_of_reach(db: Path) -> None:
    """Count under a lock in a list."""

    def work() -> None:
        with SERVICE.out_of_reach[0]:
            read_then_write(db)

    together(work, work)


@pytest.mark.slow
def test_locks_made_before_are_controlled_where_they_are_found() -> None:
    """Attributes of classes and of a module's objects are; for one that is not, the wait is named, and nothing hangs."""
    assert explored(raced([under_locks_made_before], at_end=(counts_to(2),))).verdict is Verdict.VALID
    result = explored(raced([under_a_lock_out_of_reach]), patience=0.3)
    assert result.verdict is Verdict.UNKNOWN
    assert "test_threads.py" in result.reasons[0]


async def both_in_an_executor(db: Path) -> None:
    """Count in two threads of one task."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(2) as pool:
        await asyncio.gather(*(loop.run_in_executor(pool, read_then_write, db) for _ in range(2)))


def test_two_executor_threads_of_one_task_race() -> None:
    """They have lanes of their own, or they would be taken for one after the other."""
    result = explored(raced([both_in_an_executor], at_end=(counts_to(2),)))
    assert result.verdict is Verdict.INVALID


def one_lock_after_another(db: Path) -> None:
    """Use locks, events and queues with no thread to meet."""
    lock, event, items = threading.Lock(), threading.Event(), queue.Queue[int]()
    for _ in range(3):
        with lock:
            event.set()
            items.put(1)
            items.get()
    add(db)


def test_without_threads_there_are_no_new_points() -> None:
    """A program that starts no thread meets the points of its statements only."""
    (execution,) = executions(raced([one_lock_after_another]), Exhaustive())
    assert {step.kind for step in execution.steps} <= {"call", "sql", "close"}
