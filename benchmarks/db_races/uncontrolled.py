"""Runs a race uncontrolled: its tasks one after another, or in real processes started together, again and again.

Uncontrolled runs are the baseline of every race tester; no code here is one.
"""

from __future__ import annotations

import asyncio
import inspect
import multiprocessing
import os
import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from benchmarks.db_races.race import Race, Task

PROCESSES = 4
"""Over so many the tasks that are coroutines are spread."""

_FORK = multiprocessing.get_context("fork")
_FIRST_GUESS = 0.005


@contextmanager
def folder() -> Iterator[Path]:
    """Make a new folder, yield it and remove it; in memory where possible."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="db-races-", dir=memory) as place:
        yield Path(place)


@dataclass(frozen=True)
class Rounds:
    """The result of several rounds: how many broke the rule, the number of the first (from 1), and its message."""

    rounds: int
    broken: int
    first: int | None
    first_seconds: float | None
    seconds: float
    message: str


def in_turn(race: Race, tasks: Sequence[Task], db: Path) -> bool:
    """Run the tasks one after another in this process; return whether the rule holds. Errors of tasks are passed on."""
    race.set_up(db)
    for task in tasks:
        made = task(db)
        if inspect.isawaitable(made):
            asyncio.run(_ended(made))
    return race.right(db)


def shares(tasks: Sequence[Task], processes: int = PROCESSES) -> list[list[Task]]:
    """Return the tasks of each process: one task each if sync, else all distributed over at most *processes*."""
    if not inspect.iscoroutinefunction(tasks[0]):
        return [[task] for task in tasks]
    size = min(len(tasks), processes)
    return [list(tasks[number::size]) for number in range(size)]


def together(
    race: Race, tasks: Sequence[Task], place: Path, *, rounds: int, seconds: float, seed: int = 0, cap: float = 20.0
) -> Rounds:
    """Start the tasks together, *rounds* times or for *seconds*, each time over a fresh database in *place*.

    Kills and cancellations come at random moments. A round that has not ended after *cap* seconds has broken the rule.
    The clock can't be made to jump, so a race with jumps runs without them. This process never opens a database itself,
    because a connection that is inherited through a fork must not be used.
    """
    judge = _Judge(race, place)
    generator = random.Random(seed)
    began = time.perf_counter()
    broken, first, first_seconds, message, done, usual = 0, None, None, "", 0, _FIRST_GUESS
    try:
        while done < rounds and time.perf_counter() - began < seconds:
            done += 1
            db = judge.fresh()
            said, took = _round(race, tasks, db, generator, usual, cap)
            usual = (usual * 9 + took) / 10
            if said := said or judge.says(db):
                broken += 1
                if first is None:
                    first, first_seconds, message = done, time.perf_counter() - began, said
    finally:
        judge.close()
    return Rounds(done, broken, first, first_seconds, time.perf_counter() - began, message)


def _round(
    race: Race, tasks: Sequence[Task], db: Path, generator: random.Random, usual: float, cap: float
) -> tuple[str, float]:
    """Run all tasks once; return the error, or an empty text, and the seconds that they took."""
    parts = shares(tasks)
    start = _FORK.Barrier(len(parts) + 1)
    cancelled = generator.randrange(len(parts)) if race.cancels else None
    ends: list[Connection] = []
    processes: list[ForkProcess] = []
    for number, part in enumerate(parts):
        end, other = _FORK.Pipe(duplex=False)
        after = generator.uniform(0, usual) if number == cancelled else None
        process = _FORK.Process(target=_run_share, args=(part, db, start, other, after))
        process.start()
        other.close()
        ends.append(end)
        processes.append(process)
    start.wait()
    began = time.perf_counter()
    if race.kills:
        time.sleep(generator.uniform(0, usual))
        processes[generator.randrange(len(processes))].kill()
    said = _hear(ends, processes, cap)
    took = time.perf_counter() - began
    for process in processes:
        process.kill()
        process.join()
    return said, took


def _hear(ends: list[Connection], processes: list[ForkProcess], cap: float) -> str:
    """Wait for all processes; return the first error that one of them reports, or an empty text."""
    said = ""
    deadline = time.monotonic() + cap
    left = dict(zip(ends, processes, strict=True))
    while left:
        ready = wait(list(left), max(deadline - time.monotonic(), 0))
        if not ready:
            return said or f"{len(left)} of {len(ends)} processes had not ended after {cap:g} s"
        for end in ready:
            assert isinstance(end, Connection)
            with suppress(EOFError):  # killed
                said = said or end.recv()
            end.close()
            del left[end]
    return said


def _run_share(tasks: Sequence[Task], db: Path, start: Barrier, end: Connection, cancel_after: float | None) -> None:
    """Run the tasks of one process when all processes are ready, and report the error; this is the child's side."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what a library says of its killed threads is no news
    start.wait()
    try:
        if inspect.iscoroutinefunction(tasks[0]):
            asyncio.run(_gather(tasks, db, cancel_after))
        else:
            tasks[0](db)
        said = ""
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    end.send(said)
    os._exit(0)


async def _gather(tasks: Sequence[Task], db: Path, cancel_after: float | None) -> None:
    running = [asyncio.ensure_future(task(db)) for task in tasks]
    if cancel_after is not None:
        asyncio.get_running_loop().call_later(cancel_after, running[0].cancel)
    for ended in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended


async def _ended(made: Any) -> None:
    await made


class _Judge:
    """A process of its own that opens databases: it makes the template, and checks the database of each round."""

    def __init__(self, race: Race, place: Path) -> None:
        self._end, other = _FORK.Pipe()
        self._place = place
        self._process = _FORK.Process(target=_judge, args=(race, place / "template.db", other))
        self._process.start()
        other.close()
        self._end.recv()
        self._template = (place / "template.db").read_bytes()

    def fresh(self) -> Path:
        """Return the path of a fresh copy of the template, in a folder of its own."""
        fresh = self._place / "round"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        (fresh / "race.db").write_bytes(self._template)
        return fresh / "race.db"

    def says(self, db: Path) -> str:
        """Return the error in the database, or an empty text."""
        self._end.send(db)
        return str(self._end.recv())

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._end.close()


def _judge(race: Race, template: Path, end: Connection) -> None:
    race.set_up(template)
    with closing(sqlite3.connect(template)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    end.send("")
    while True:
        db = end.recv()
        try:
            end.send("" if race.right(db) else "the rule does not hold at the end")
        except Exception as error:
            end.send(f"{type(error).__name__}: {error}")
