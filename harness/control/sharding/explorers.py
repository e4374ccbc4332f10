"""The explorers of one run, from outside: started, given executions, listened to, found dead, ended."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from multiprocess import get_context

from harness.control.processes import ending
from harness.control.sharding.explorer import Setting, serve
from harness.wire import Peer, PeerGone

__all__ = ["DIED", "Explorers", "News", "explorers"]

DIED = "died"
"""The kind of news that an explorer's end is; the value says how it ended."""

_LAST_EXECUTION, _LAST_WORDS = 0.5, 2.0
"""Seconds that an explorer may take to end its execution before it is told to leave it, then to leave before it is killed."""


class News(NamedTuple):
    """What was heard of explorer *number*: ``kind`` and ``value`` are as it sent them, or ``DIED``."""

    number: int
    kind: str
    value: Any


class Explorers:
    """Processes that run executions, numbered from 0. Made by ``explorers`` only."""

    def __init__(self) -> None:
        self._peers: list[Peer] = []
        self._processes: list[Any] = []
        self._ends: list[int] = []
        self._poll = select.poll()
        self._pipes: dict[int, int] = {}
        self._lives: dict[int, int] = {}

    def start(self, jobs: int, setting: Setting) -> None:
        """Start *jobs* of them."""
        pipes = [(os.pipe(), os.pipe()) for _ in range(jobs)]
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

    def send(self, number: int, data: bytes) -> None:
        """Give explorer *number* what it is to run next. It must be waiting for it, or *data* fit in a pipe."""
        with suppress(BrokenPipeError):  # It has died, as will be heard.
            self._peers[number].send((data,))

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
    """Start *jobs* explorers; end them when the context is left, however that goes."""
    them = Explorers()
    try:
        them.start(jobs, setting)
        yield them
    finally:
        them.close()
