"""Starts the explorers of a run, gives them executions, takes in their results and deaths, and ends them."""

from __future__ import annotations

import os
import select
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from multiprocess import get_context

from harness.boundary.wire import Peer, PeerGone
from harness.control.sharding.executor import Lost, fail
from harness.control.sharding.explorer import RAN, READY, Setting, serve, trouble
from harness.control.sharding.parcels import Ran, unpacked
from harness.control.testbed.processes import ending
from harness.scenario import Workload

__all__ = ["Explorers", "News", "explorers", "mourned"]

DIED = "died"
"""The kind of news that says that an explorer died; the value says how."""

_IN_HAND, _SMALL = 2, 16_000
"""The number of executions that an explorer has at a time, so that it need not wait for the next.

The second is sent only if it has fewer bytes than ``_SMALL`` and so fits in the pipe (64 KiB) whatever else is in it:
else both sides could be writing, and neither reading.
"""

_LAST_EXECUTION, _LAST_WORDS = 0.5, 2.0
"""Seconds that an explorer may take to end its execution before SIGTERM, and then to exit before SIGKILL."""


def mourned(how: str) -> str:
    """Return the reason for an unknown verdict when an explorer ended as *how* says."""
    return (
        f"The search was not finished: {how} while it explored, and its current execution was not judged. "
        "Usual causes: the kernel ran out of memory, or somebody killed it; try fewer jobs."
    )


class News(NamedTuple):
    """News of explorer *number*: ``kind`` and ``value`` are as it sent them; or ``DIED``, and how it ended."""

    number: int
    kind: str
    value: Any


class Explorers:
    """An ``Executor`` of processes, numbered from 0, that run executions. Only ``explorers`` makes one.

    A promise ends with ``Lost`` if an explorer died or met an execution that it can't judge; no execution begins after
    that.
    """

    ahead = far = 4

    def __init__(self, jobs: int, workload: Workload) -> None:
        self.slots, self._workload = jobs, workload
        self._starting = set(range(jobs))
        self._hands: dict[int, deque[Future[Ran]]] = {}
        """The promises of the executions that each explorer has, in the order in which it runs them."""
        self._waiting: deque[tuple[bytes, Future[Ran]]] = deque()
        self._lost = ""
        self._peers: list[Peer] = []
        self._processes: list[Any] = []
        self._ends: list[int] = []
        self._poll = select.poll()
        self._pipes: dict[int, int] = {}
        self._lives: dict[int, int] = {}
        self._gone: set[int] = set()

    def start(self, setting: Setting) -> None:
        """Start all explorers."""
        pipes = [(os.pipe(), os.pipe()) for _ in range(self.slots)]
        self._ends += [end for down, up in pipes for end in (down[1], up[0])]
        theirs = [end for down, up in pipes for end in (down[0], up[1])]
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            for number, (down, up) in enumerate(pipes):
                self._peers.append(Peer(up[0], down[1]))
                # A pipe ends for its reader only when no process has the other end open.
                unneeded = [*self._ends, *(end for end in theirs if end not in (down[0], up[1]))]
                process = get_context("fork").Process(
                    target=serve,
                    args=(Peer(down[0], up[1]), setting, os.getpid()),
                    kwargs={"unneeded": unneeded},
                    name=f"harness explorer {number}",
                )
                process.start()
                self._processes.append(process)
                self._watch(number, up[0], os.pidfd_open(process.pid))
        finally:
            for end in theirs:
                os.close(end)

    def _watch(self, number: int, pipe: int, life: int) -> None:
        self._ends.append(life)
        self._pipes[pipe], self._lives[life] = number, number
        self._poll.register(pipe, select.POLLIN)
        self._poll.register(life, select.POLLIN)

    def await_ready(self) -> None:
        """Wait until every explorer can run executions, or one has died; raises any other error that ended one."""
        while self._starting and not self._lost:
            self._note(self.hear())

    def submit(self, task: bytes) -> Future[Ran]:
        """Have *task* run by the next explorer that has room for it, and return the promise of its result."""
        promise: Future[Ran] = Future()
        if self._lost:
            fail(promise, Lost(self._lost))
        else:
            self._waiting.append((task, promise))
            self._give()
        return promise

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the next news, take it in, and give out waiting tasks. *seconds* is ignored."""
        self._note(self.hear())
        self._give()

    def _give(self) -> None:
        """Give out waiting tasks, first to the explorers that have nothing to do."""
        for in_hand in range(_IN_HAND):
            for number, promises in self._hands.items():
                if self._waiting and len(promises) == in_hand and (not promises or len(self._waiting[0][0]) < _SMALL):
                    task, promise = self._waiting.popleft()
                    promises.append(promise)
                    with suppress(BrokenPipeError):  # It has died; ``hear`` will say so.
                        self._peers[number].send((task,))

    def _note(self, news: News) -> None:
        number, kind, value = news
        if kind == READY:
            self._starting.discard(number)
            self._hands[number] = deque()
        elif kind == RAN:
            self._hands[number].popleft().set_result(unpacked(value, self._workload)[0])
        elif number not in self._gone:
            self._gone.add(number)
            error = Lost(mourned(value)) if kind == DIED else trouble(kind, value, f"explorer {number}")
            if not isinstance(error, Lost):
                raise error
            self._lost = str(error)
            for promise in (*self._hands.pop(number, ()), *(promise for _, promise in self._waiting)):
                fail(promise, error)
            self._waiting.clear()

    def hear(self) -> News:
        """Wait for the next news. The messages of an explorer come before the news of its death."""
        while True:
            for number, peer in enumerate(self._peers):
                if (message := peer.complete()) is not None:
                    return News(number, *message)
            ready = [end for end, _ in self._poll.poll()]
            pipes = [end for end in ready if end in self._pipes]
            for pipe in pipes:
                try:
                    self._peers[self._pipes[pipe]].fill()
                except PeerGone:
                    self._poll.unregister(pipe)
            if not pipes:
                self._poll.unregister(ready[0])
                number = self._lives[ready[0]]
                self._processes[number].join()
                return News(number, DIED, self._obituary(number))

    def _obituary(self, number: int) -> str:
        process = self._processes[number]
        return f"explorer {number} (process {process.pid}) {ending(process.exitcode)}"

    def close(self) -> None:
        """End all explorers, and return when they are gone."""
        for end in self._ends:
            os.close(end)
        self._join(_LAST_EXECUTION)
        for process in self._processes:
            process.terminate()
        self._join(_LAST_WORDS)
        for process in self._processes:
            # If an explorer is killed, its fork server ends its workers and removes its directory.
            process.kill()
            process.join()

    def _join(self, seconds: float) -> None:
        """Wait until all explorers have ended, but *seconds* at most."""
        deadline = time.monotonic() + seconds
        for process in self._processes:
            process.join(max(deadline - time.monotonic(), 0))


@contextmanager
def explorers(jobs: int, setting: Setting) -> Iterator[Explorers]:
    """Start *jobs* explorers; end them when the context is left, however that goes.

    Raises ``BadInput``, ``SetupFailed`` and ``Unsupported`` as an explorer did.
    """
    them = Explorers(jobs, setting.scenario.workload(setting.workers))
    try:
        them.start(setting)
        them.await_ready()
        yield them
    finally:
        them.close()
