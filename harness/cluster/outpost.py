"""An explorer on a node: the process that a dask worker starts (``main``), and that worker's side of it (``Outpost``)."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from harness import registry
from harness.boundary.wire import Message, Peer, PeerGone
from harness.cluster.order import Order, Versions
from harness.control.options import bounded
from harness.control.sharding.explorer import RAN, READY, leave, perform, told
from harness.control.sharding.parcels import Ran, packed, unpacked
from harness.control.testbed.processes import ending
from harness.control.testbed.testbed import open_testbed
from harness.errors import BadInput
from harness.project import config
from harness.saved.source_digest import digest
from harness.scenario import Workload

__all__ = ["COMPRESSION", "DIED", "FAILED", "Answer", "Outpost", "main"]

DIED, FAILED = "died", "failed"

COMPRESSION = 1
"""The quickest level of zlib: it reduces the data to a ninth, for 0.02 ms per execution."""

_LAST_WORDS = 3.0
"""Seconds that an explorer may take to end by itself before it gets SIGTERM, and again before it is killed."""


class Answer(NamedTuple):
    """The result of a batch: the number of executions that ran to their end, and these executions, packed and compressed.

    ``kind`` is ``READY`` before the first batch, ``RAN`` if all executions ran, ``FAILED`` if the last of those that ran
    failed, or the reason why the explorer ended after them: ``DIED``, or the kind that ``told`` returns for an error.
    ``value`` is the text of that reason.
    """

    executions: int
    data: bytes
    kind: str
    value: str = ""

    def ran(self, workload: Workload) -> list[Ran]:
        """Return the executions, of *workload*, that ran to their end."""
        return unpacked(zlib.decompress(self.data), workload) if self.executions else []


class Outpost:
    """A process with a testbed of its own that runs batches of executions for any thread of a dask worker.

    The process ends when its pipe is closed. ``die_with`` is not used: with it, the process would end with the thread that
    started it.
    """

    def __init__(self, order: Order) -> None:
        down, up = os.pipe(), os.pipe()
        command = [sys.executable, "-P", "-m", "harness.cluster.outpost", str(down[0]), str(up[1])]
        environment = config.child_environment(hash_seed=order.hash_seed, postgres=order.postgres)
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, env=environment, pass_fds=(down[0], up[1])
            )
        finally:
            os.close(down[0])
            os.close(up[1])
        self._peer = Peer(up[0], down[1])
        self._life = os.pidfd_open(self._process.pid)
        self.idle_since = time.monotonic()
        self.lost = False
        self._peer.send((order.key, tuple(order.versions), *order[2:]))

    def ready(self) -> Answer:
        """Wait until the process can run executions; return an answer that says so, or why it never will."""
        return self._answer()

    def run(self, tasks: Sequence[bytes]) -> Answer:
        """Run *tasks* in turn, up to the first that fails or can't be run to its end; return the answer."""
        with suppress(BrokenPipeError):
            self._peer.send(tuple(tasks))
        return self._answer()

    def _answer(self) -> Answer:
        poll = select.poll()
        for end in (self._peer.read_end, self._life):
            poll.register(end, select.POLLIN)
        try:
            while (message := self._peer.complete()) is None:
                if [end for end, _ in poll.poll()] == [self._life]:
                    raise PeerGone
                self._peer.fill()
            answer = Answer(*message)
        except PeerGone:
            self._process.wait()
            who = f"an explorer on {os.uname().nodename} (process {self._process.pid})"
            answer = Answer(0, b"", DIED, f"{who} {ending(self._process.returncode)}")
        self.lost = answer.kind not in (READY, RAN, FAILED)
        self.idle_since = time.monotonic()
        return answer

    def close(self) -> None:
        """End the process, and return when it is gone with everything that it holds."""
        for end in (self._peer.write_end, self._peer.read_end):
            os.close(end)
        for sharper in (self._process.terminate, self._process.kill):
            try:
                self._process.wait(_LAST_WORDS)
            except subprocess.TimeoutExpired:
                sharper()
        self._process.wait()
        os.close(self._life)


def main(arguments: Sequence[str]) -> None:
    """Run the batches that come through the first of two descriptors, and answer through the second, until these are closed.

    *arguments* are the two numbers, as text.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, leave)
    peer = Peer(int(arguments[0]), int(arguments[1]))
    for end in (peer.read_end, peer.write_end):
        os.set_inheritable(end, False)
    with suppress(PeerGone, BrokenPipeError):
        key, theirs, *rest = peer.receive()
        ran: list[Ran] = []
        try:
            _explore(peer, Order(key, Versions(*theirs), *rest), ran)
        except (PeerGone, BrokenPipeError):
            raise
        except Exception as error:
            peer.send(_message(ran, *told(error)))


def _message(ran: Sequence[Ran], kind: str, value: str = "") -> Message:
    """Return an ``Answer`` as a message for the pipe."""
    return len(ran), zlib.compress(packed(ran), COMPRESSION), kind, value


def _explore(peer: Peer, order: Order, ran: list[Ran]) -> None:
    """Run batch after batch and answer each; keep in *ran* the executions of the current batch that have run so far."""
    found = registry.find(order.reference, order.variant or None)
    if (there := digest(found)) != order.digest:
        raise BadInput(
            f"The files that the scenario {order.reference!r} comes from differ from those where the search was started "
            f"(digest {there[:12]} there, {order.digest[:12]} here), so an execution would not be the same. "
            "Bring both to the same state."
        )
    scenario = bounded(found, None, order.faults, delays=order.delays)
    with open_testbed(
        scenario, order.workers, seed=order.seed, isolation=order.isolation, patience=order.patience
    ) as stage:
        stage.driver.wants_outcomes = order.outcomes
        workload = scenario.workload(order.workers)
        peer.send(_message((), READY))
        while True:
            for task in peer.receive():
                ran.append(perform(stage, workload, task))
                if ran[-1].execution.failure is not None:
                    break
            peer.send(_message(ran, FAILED if ran[-1].execution.failure is not None else RAN))
            ran.clear()


if __name__ == "__main__":
    main(sys.argv[1:])
