"""Does many pieces of work, each in a forked process of its own with a time limit, several at once.

A forked process starts in milliseconds, with everything imported. The calling process must never have opened a
database, because a connection that is inherited through a fork corrupts SQLite's locks.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Generic, TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")

_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Failed:
    """The reason why a piece of work gave no result."""

    why: str


@dataclass
class _Job(Generic[T]):
    what: T
    process: ForkProcess
    end: Connection
    deadline: float


def done(work: Callable[[T], R], pieces: Iterable[T], *, jobs: int, cap: float) -> Iterator[tuple[T, R | Failed]]:
    """Yield each piece with its result when it ends; run `jobs` pieces at once, and kill each after `cap` seconds."""
    waiting = iter(pieces)
    running: dict[Connection, _Job[T]] = {}
    try:
        while True:
            while len(running) < jobs and (piece := next(waiting, None)) is not None:
                job = _start(work, piece, cap)
                running[job.end] = job
            if not running:
                return
            patience = min(job.deadline for job in running.values()) - time.monotonic()
            for end in wait(list(running), max(patience, 0)):
                job = running.pop(cast(Connection, end))
                yield job.what, _result(job)
            for job in [job for job in running.values() if time.monotonic() >= job.deadline]:
                del running[job.end]
                _end(job)
                yield job.what, Failed(f"killed after {cap:g} s")
    finally:
        for job in running.values():
            _end(job)


def _start(work: Callable[[T], R], piece: T, cap: float) -> _Job[T]:
    end, other = _FORK.Pipe(duplex=False)
    process = _FORK.Process(target=_work, args=(work, piece, other))
    process.start()
    other.close()
    return _Job(piece, process, end, time.monotonic() + cap)


def _work(work: Callable[[T], R], piece: T, end: Connection) -> None:
    """Do the work in the child, and send its result to the parent."""
    try:
        result: R | Failed = work(piece)
    except Exception as error:
        result = Failed(f"{type(error).__name__}: {error}")
    end.send(result)
    end.close()
    os._exit(0)


def _result(job: _Job[T]) -> R | Failed:
    try:
        return cast(R, job.end.recv())  # what the child sent is what `work` gave
    except EOFError:
        return Failed("its process ended without a word")
    finally:
        _end(job)


def _end(job: _Job[T]) -> None:
    job.process.kill()
    job.process.join()
    job.end.close()
