"""The explorers of one run, from outside: started, given executions, listened to, found dead, ended."""

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

from harness.control.processes import ending
from harness.control.sharding.explorer import RAN, READY, Setting, serve, trouble
from harness.control.sharding.parcels import Ran, unpacked
from harness.executor import Lost, fail
from harness.scenario import Workload
from harness.wire import Peer, PeerGone

__all__ = ["Explorers", "News", "explorers", "mourned"]

DIED = "died"
"""The kind of news that an explorer's end is; the value says how it ended."""

_IN_HAND, _SMALL = 2, 16_000
"""Executions that an explorer has at a time, so that it need not wait for the next; the second only if it fits in the pipe
(64 KiB) whatever else does: else both sides could be writing, and nobody reading."""

_LAST_EXECUTION, _LAST_WORDS = 0.5, 2.0
"""Seconds that an explorer may take to end its execution before it is told to leave it, then to leave before it is killed."""


def mourned(how: str) -> str:
    """Return what becomes of a verdict when an explorer ended as *how* says."""
    return (
        f"The search was not finished: {how} while it explored, and what it was at was never judged. Usual causes: the kernel "
        "ran out of memory, or somebody killed it; try fewer jobs."
    )


class News(NamedTuple):
    """What was heard of explorer *number*: ``kind`` and ``value`` are as it sent them, or ``DIED``."""

    number: int
    kind: str
    value: Any


class Explorers:
    """Processes that run executions, numbered from 0: an ``Executor``. Made by ``explorers`` only.

    A promise ends with ``Lost`` where an explorer died, or met what it can't judge; nothing is begun after that.
    """

    ahead = far = 4

    def __init__(self, jobs: int, workload: Workload) -> None:
        self.slots, self._workload = jobs, workload
        self._starting = set(range(jobs))
        self._hands: dict[int, deque[Future[Ran]]] = {}
        """The executions that each explorer has in hand, the one that it runs first."""
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
        """Start all of them."""
        pipes = [(os.pipe(), os.pipe()) for _ in range(self.slots)]
        self._ends += [end for down, up in pipes for end in (down[1], up[0])]
        theirs = [end for down, up in pipes for end in (down[0], up[1])]
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            for number, (down, up) in enumerate(pipes):
                self._peers.append(Peer(up[0], down[1]))
                unneeded = [*self._ends, *(end for end in theirs if end not in (down[0], up[1]))]
                process = get_context("fork").Process(
                    target=serve,
                    args=(Peer(down[0], up[1]), setting, os.getpid(), unneeded),
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
        """Return when every explorer can run executions, or one has died; raises what else kept one from it."""
        while self._starting and not self._lost:
            self._note(self.hear())

    def submit(self, task: bytes) -> Future[Ran]:
        """Have *task* run by whoever has room for it."""
        promise: Future[Ran] = Future()
        if self._lost:
            fail(promise, Lost(self._lost))
        else:
            self._waiting.append((task, promise))
            self._give()
        return promise

    def wait(self, seconds: float | None = None) -> None:
        """Take the next news in, and give out what waits; nothing is said so often that *seconds* matter."""
        self._note(self.hear())
        self._give()

    def _give(self) -> None:
        """Give out what waits, to those first who have nothing to do."""
        for in_hand in range(_IN_HAND):
            for number, promises in self._hands.items():
                if self._waiting and len(promises) == in_hand and (not promises or len(self._waiting[0][0]) < _SMALL):
                    task, promise = self._waiting.popleft()
                    promises.append(promise)
                    with suppress(BrokenPipeError):  # It has died, as will be heard.
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
        """Wait for the next news. What an explorer sent comes before that it died."""
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
        """End all of them, and return when they are gone with all that is theirs."""
        for end in self._ends:
            os.close(end)
        self._join(_LAST_EXECUTION)
        for process in self._processes:
            process.terminate()
        self._join(_LAST_WORDS)
        for process in self._processes:
            # The fork server of one that is killed ends its workers and removes its directory.
            process.kill()
            process.join()

    def _join(self, seconds: float) -> None:
        """Wait for all to end, but no longer than so many seconds."""
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
