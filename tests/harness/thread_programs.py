"""Programs whose workers start threads: each counts to two or more, in the database or in a file, or fails to."""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from tests.harness.counter import one

ADD = "UPDATE t SET n = n + 1 WHERE k = 1"
module_lock = threading.Lock()


class Program(NamedTuple):
    """What one worker runs; ``fails`` is the kind of failure it must come to, empty for none.

    ``soon_done``: trying everything takes fewer than 4,000 executions.
    """

    worker: Callable[[Path], Any]
    fails: str = ""
    total: int = 2
    soon_done: bool = True

    def __str__(self) -> str:
        return self.worker.__name__


PROGRAMS: list[Program] = []


def program(fails: str = "", total: int = 2, soon_done: bool = True) -> Callable[[Callable[[Path], Any]], Any]:
    """Add a worker to the programs."""

    def add(worker: Callable[[Path], Any]) -> Callable[[Path], Any]:
        PROGRAMS.append(Program(worker, fails, total, soon_done))
        return worker

    return add


def read_then_write(db: Path) -> None:
    """Add one, with the row read before it is written."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        (n,) = connection.execute("SELECT n FROM t WHERE k = 1").fetchone()
        connection.execute("UPDATE t SET n = ? WHERE k = 1", (n + 1,))


def add(db: Path, times: int = 1) -> None:
    """Add one in a statement."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        for _ in range(times):
            connection.execute(ADD)


def together(*functions: Callable[[], Any]) -> None:
    """Run each in a thread, and wait for all."""
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@program("at end")
def two_threads(db: Path) -> None:
    """A lost update between two threads."""
    together(lambda: read_then_write(db), lambda: read_then_write(db))


@program("at end")
def over_a_file(db: Path) -> None:
    """A lost update between two threads, in a file."""
    file = db.with_name("n")
    file.write_text("0")

    def work() -> None:
        n = int(file.read_text() or 0)
        file.write_text(str(n + 1))

    together(work, work)
    add(db, int(file.read_text()))


@program()
def two_threads_with_a_lock(db: Path) -> None:
    """A lock around it prevents that."""
    lock = threading.Lock()

    def work() -> None:
        with lock:
            read_then_write(db)

    together(work, work)


@program()
def with_a_lock_of_the_module(db: Path) -> None:
    """A lock that was made when the module was imported does, too."""

    def work() -> None:
        with module_lock:
            read_then_write(db)

    together(work, work)


@program("deadlock")
def locks_in_two_orders(db: Path) -> None:
    """Each thread has one lock and wants the other's."""
    first, second = threading.Lock(), threading.RLock()

    def work(one: Any, other: Any) -> None:
        with one, other:
            read_then_write(db)

    together(lambda: work(first, second), lambda: work(second, first))


@program("deadlock")
def a_lost_wake_up(db: Path) -> None:
    """Who looks before it waits, without the lock, may wait for what has been said already."""
    condition = threading.Condition()
    said: list[int] = []

    def listener() -> None:
        if not said:
            add(db)
            with condition:
                condition.wait()
        else:
            add(db)

    def speaker() -> None:
        add(db)
        said.append(1)
        with condition:
            condition.notify()

    together(listener, speaker)


@program()
def a_wake_up_that_is_not_lost(db: Path) -> None:
    """Who looks under the lock hears of it."""
    condition = threading.Condition()
    said: list[int] = []

    def listener() -> None:
        with condition:
            while not said:
                condition.wait()
        read_then_write(db)

    def speaker() -> None:
        read_then_write(db)
        with condition:
            said.append(1)
            condition.notify()

    together(listener, speaker)


@program()
def an_event(db: Path) -> None:
    """One waits until the other has written."""
    written = threading.Event()

    def first() -> None:
        read_then_write(db)
        written.set()

    def second() -> None:
        written.wait()
        read_then_write(db)

    together(first, second)


@program("at end")
def an_event_in_vain(db: Path) -> None:
    """One waits for the other, but not for ever."""
    written = threading.Event()

    def first() -> None:
        time.sleep(2)
        read_then_write(db)
        written.set()

    def second() -> None:
        if not written.wait(1):
            return
        read_then_write(db)

    together(first, second)


@program()
def a_queue(db: Path) -> None:
    """One makes, the other writes."""
    made: queue.SimpleQueue[int] = queue.SimpleQueue()

    def maker() -> None:
        made.put(2)

    def writer() -> None:
        for _ in range(made.get()):
            read_then_write(db)

    together(maker, writer)


@program("at end")
def two_writers_of_a_queue(db: Path) -> None:
    """Two take what was made, and write over each other."""
    made: queue.Queue[int] = queue.Queue()
    for _ in range(2):
        made.put(1)

    def writer() -> None:
        made.get()
        read_then_write(db)

    together(writer, writer)


def insert_if_missing(db: Path) -> None:
    """Look for a row, and insert it if it isn't there."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        if connection.execute("SELECT 1 FROM t WHERE n = 7").fetchone() is None:
            connection.execute("INSERT INTO t (n) VALUES (7)")


@program("at end", total=1, soon_done=False)
def a_pool(db: Path) -> None:
    """Two tasks of a pool look, then insert."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: insert_if_missing(db), range(2)))
    assert one(db, "SELECT count(*) FROM t WHERE n = 7") in (1, 2)


@program(total=1)
def a_pool_of_one(db: Path) -> None:
    """One thread does all the tasks, and is left idle."""
    pool = ThreadPoolExecutor(1)
    for found in [pool.submit(insert_if_missing, db) for _ in range(2)]:
        found.result()


@program()
def never_joined(db: Path) -> None:
    """The call returns while its thread still runs."""
    threading.Thread(target=add, args=(db, 2)).start()
