"""The same program for real: real processes, clock, SQLite and event loop, random delays, real kills and cancels.

A conductor, forked before anything was opened or instrumented, forks the workers, which go from run to run; it replaces those
that were killed. A run costs a millisecond or two.
"""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.soundness.delays import delay
from benchmarks.soundness.files import Template
from benchmarks.soundness.program import Program, functions_of, module_of
from benchmarks.soundness.searching import CANCELLED, KILLED
from benchmarks.soundness.state import outcome_of
from harness.boundary.parent import die_with

__all__ = ["Conductor", "Wild"]

_FORK = multiprocessing.get_context("fork")
_WAIT, _UNIT = 1.0, 0.02
"""Seconds that statements wait for a lock of SQLite, and of a second of the program's own."""
_COLLECT = b"collect"
_STILL = 0.4
"""After so many seconds without an answer, workers that do nothing for as long are in a deadlock."""
_GIVEN_UP = 60.0


@dataclass
class Wild:
    """The results of real runs: how often each outcome was seen, the number of runs, and of those that could not be judged."""

    seen: dict[str, int] = field(default_factory=dict)
    runs: int = 0
    unjudged: int = 0
    kills: int = 0
    seconds: float = 0.0
    error: str = ""


class Conductor:
    """Runs a program for real in processes of its own, when it is asked to; ``close`` ends them all."""

    def __init__(self, program: Program, folder: Path) -> None:
        self._end, other = _FORK.Pipe()
        self._process = _FORK.Process(target=_conduct, args=(program, folder, other, os.getpid()))
        self._process.start()
        other.close()

    def run(self, runs: int, seconds: float, seed: int) -> Wild:
        """Run it *runs* times, for some *seconds* at most."""
        try:
            self._end.send((runs, seconds, seed))
            if self._end.poll(2 * seconds + 2 * _GIVEN_UP):
                wild = self._end.recv()
                assert isinstance(wild, Wild)
                return wild
            return Wild(error="the real runs did not end")
        except (EOFError, OSError) as error:
            return Wild(error=f"the conductor of the real runs ended: {error!r}")

    def close(self) -> None:
        """End the conductor, and with it its workers."""
        self._process.kill()
        self._process.join()
        self._end.close()


def _conduct(program: Program, folder: Path, end: Connection, parent: int) -> None:
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        runs = _Runs(program, folder)
        count, seconds, seed = end.recv()
        end.send(runs.make(count, seconds, Random(seed)))
    except EOFError:
        pass
    except Exception as error:
        end.send(Wild(error=f"{type(error).__name__}: {error}"))
    os._exit(0)


class _Worker:
    """A process that calls one function of the program whenever it is told to."""

    def __init__(self, function: Callable[[Path], Any], db: Path) -> None:
        self.end, other = _FORK.Pipe()
        self.pid = os.fork()
        if not self.pid:
            self.end.close()
            _serve(function, db, other, os.getppid())
        other.close()

    def at_rest(self) -> list[str]:
        """Return the kernel's counts for its threads: nanoseconds run and waited, and turns; nothing if one could run.

        A thread that asks for a lock again and again has other numbers each time.
        """
        found: list[str] = []
        for thread in sorted(Path(f"/proc/{self.pid}/task").iterdir()):
            with suppress(OSError):
                if (thread / "stat").read_text().rpartition(")")[2].split()[0] != "S":
                    return []
                found.append((thread / "schedstat").read_text())
        return found

    def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _serve(function: Callable[[Path], Any], db: Path, end: Connection, parent: int) -> None:
    die_with(parent)
    # A connection that nobody closed lives until cycles are collected: as in the harness, when all calls have ended.
    gc.disable()
    # Threads that a cancel or a lost event loop ends say so there.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with suppress(EOFError, OSError):
        while True:
            seed, cancels = json.loads(end.recv_bytes())
            delay(seed)
            answer = _answer(function, db, seed if cancels else 0)
            sys.setprofile(None)
            end.send_bytes(json.dumps(answer).encode())
            assert end.recv_bytes() == _COLLECT
            gc.collect()
            end.send_bytes(_COLLECT)
    os._exit(0)


def _answer(function: Callable[[Path], Any], db: Path, cancelled: int) -> Any:
    """Return the caller's answer; cancel the call at a moment drawn from *cancelled*, never if it is 0."""
    try:
        value = function(db)
        if asyncio.iscoroutine(value):
            value = asyncio.run(_cancelled(value, Random(cancelled)) if cancelled else value)
        return value
    except asyncio.CancelledError:
        return CANCELLED
    except Exception as error:
        return f"!{type(error).__name__}: {error}"


async def _cancelled(call: Any, random: Random) -> Any:
    task = asyncio.ensure_future(call)
    loop = asyncio.get_running_loop()
    if random.random() < 0.3:
        turns = random.randrange(12)

        def turn() -> None:
            nonlocal turns
            turns -= 1
            if turns < 0:
                task.cancel()
            else:
                loop.call_soon(turn)

        loop.call_soon(turn)
    else:
        loop.call_later(random.random() ** 2 * 0.008, task.cancel)
    return await task


class _Runs:
    """Runs of one program, one after another over the same directory."""

    def __init__(self, program: Program, folder: Path) -> None:
        self._program = program
        module = module_of(program, _WAIT, _UNIT)
        self._functions = list(functions_of(module, program).values())
        self._used = False
        world = folder / "world"
        world.mkdir(parents=True)
        self._world, self._db = world, world / "db.sqlite"
        if not (pid := os.fork()):
            code = 1
            with suppress(Exception):
                module.setup(self._db)
                code = 0
            os._exit(code)
        if os.waitpid(pid, 0)[1]:
            raise RuntimeError("setup failed")
        self._template = Template(world)
        gc.collect()
        gc.freeze()
        self._workers = [_Worker(function, self._db) for function in self._functions]
        self._usual = 0.001
        self._fresh: set[int] = set()

    def make(self, count: int, seconds: float, random: Random) -> Wild:
        """Make *count* runs; return their results."""
        wild, began = Wild(), time.monotonic()
        while wild.runs < count and time.monotonic() - began < seconds:
            outcome = self._run(random, wild)
            wild.runs += 1
            if outcome is None:
                wild.unjudged += 1
            else:
                wild.seen[outcome] = wild.seen.get(outcome, 0) + 1
        wild.seconds = time.monotonic() - began
        for worker in self._workers:
            worker.kill()
        return wild

    def _run(self, random: Random, wild: Wild) -> str | None:
        self._template.restore()
        if self._program.shared and self._used:
            # Locks in memory that workers share are as new in each run.
            self._functions = list(functions_of(module_of(self._program, _WAIT, _UNIT), self._program).values())
            self._renew()
        self._used = True
        cancelled = random.randrange(len(self._workers)) if self._program.cancels and random.random() < 0.7 else -1
        order = list(range(len(self._workers)))
        random.shuffle(order)
        began = time.perf_counter()
        for number in order:
            message = json.dumps((random.getrandbits(40) + 1, number == cancelled)).encode()
            self._workers[number].end.send_bytes(message)
        answers: dict[int, Any] = {}
        if self._program.kills and random.random() < 0.7:
            victim = random.randrange(len(self._workers))
            time.sleep(random.random() * 1.3 * self._usual)
            self._kill(victim, answers)
            wild.kills += 1
        else:
            cancelled = -2 if cancelled < 0 else cancelled
        if (hung := self._collect(answers)) != "":
            self._renew()
            return hung
        if cancelled == -2:
            self._usual += 0.1 * (time.perf_counter() - began - self._usual)
        self._tidy()
        return outcome_of([answers[number] for number in range(len(self._workers))], self._world)

    def _kill(self, victim: int, answers: dict[int, Any]) -> None:
        worker = self._workers[victim]
        worker.kill()
        answers[victim] = KILLED
        with suppress(EOFError, OSError, json.JSONDecodeError):
            if worker.end.poll():
                answers[victim] = json.loads(worker.end.recv_bytes())
        worker.end.close()
        self._workers[victim] = _Worker(self._functions[victim], self._db)
        self._fresh.add(victim)

    def _tidy(self) -> None:
        """Close the connections that calls left open in the workers, one worker after another.

        At once, none of them might be the last to close a database, and its write-ahead log stay behind.
        """
        for number, worker in enumerate(self._workers):
            if number not in self._fresh:
                worker.end.send_bytes(_COLLECT)
                worker.end.recv_bytes()
        self._fresh.clear()

    def _collect(self, answers: dict[int, Any]) -> str | None:
        """Take the answers of all workers; return why they did not come, None if nobody can tell, nothing if they did."""
        missing = {worker.end: number for number, worker in enumerate(self._workers) if number not in answers}
        ends = time.monotonic() + _GIVEN_UP
        while missing:
            ready = wait(list(missing), _STILL)
            if not ready and ((deadlocked := self._deadlocked()) or time.monotonic() > ends):
                return "!deadlock" if deadlocked else None
            for end in ready:
                assert isinstance(end, Connection)
                answers[missing.pop(end)] = json.loads(end.recv_bytes())
        return ""

    def _deadlocked(self) -> bool:
        """Return whether no worker goes on: each sleeps, and has not had the processor in a while."""
        before = [worker.at_rest() for worker in self._workers]
        time.sleep(_STILL)
        return all(before) and before == [worker.at_rest() for worker in self._workers]

    def _renew(self) -> None:
        for worker in self._workers:
            worker.kill()
            worker.end.close()
        self._fresh.clear()
        self._workers = [_Worker(function, self._db) for function in self._functions]
