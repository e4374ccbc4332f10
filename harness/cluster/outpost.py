"""An explorer on a node: the process that a dask worker starts (``main``), and that worker's side of it (``Outpost``)."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from harness import config, registry
from harness.cluster.order import Order, Versions
from harness.control.processes import ending
from harness.control.run import bounded
from harness.control.sharding.explorer import RAN, READY, leave, perform, told
from harness.control.theatre import theatre
from harness.errors import BadInput
from harness.made_of import digest
from harness.wire import Peer, PeerGone

__all__ = ["DIED", "FAILED", "Answer", "Outpost", "main"]

Answer = tuple[str, bytes | str]
"""What came of one execution: ``RAN`` or ``FAILED`` with what ``perform`` returned, or what ended the explorer: ``DIED``, or
what ``told`` makes of an error."""

DIED, FAILED = "died", "failed"

_LAST_WORDS = 3.0
"""Seconds that an explorer may take to end its execution and leave before it is told to, and again before it is killed."""


class Outpost:
    """A process with a theatre of its own that runs batches of executions for a dask worker, from any of its threads.

    It is no child that ends with the thread that started it, as ``die_with`` would have it: it ends when the pipe does.
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
        """Wait until it can run executions; return that, or why it never will."""
        (answer,) = self._answers()
        return answer

    def run(self, tasks: Sequence[bytes]) -> list[Answer]:
        """Run *tasks* in turn, up to the first that fails or can't be run to its end; return what came of them."""
        with suppress(BrokenPipeError):
            self._peer.send(tuple(tasks))
        return self._answers()

    def _answers(self) -> list[Answer]:
        poll = select.poll()
        for end in (self._peer.read_end, self._life):
            poll.register(end, select.POLLIN)
        answers: list[Answer] | None = None
        try:
            while (message := self._peer.complete()) is None:
                if [end for end, _ in poll.poll()] == [self._life]:
                    raise PeerGone
                self._peer.fill()
            answers = list(message)
        except PeerGone:
            self._process.wait()
            who = f"an explorer on {os.uname().nodename} (process {self._process.pid})"
            answers = [(DIED, f"{who} {ending(self._process.returncode)}")]
        self.lost = answers[-1][0] not in (READY, RAN, FAILED)
        self.idle_since = time.monotonic()
        return answers

    def close(self) -> None:
        """End it, and return when it is gone with all that is its own."""
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
    """Run what comes through the first of two descriptors, and answer through the second, until nobody is there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, leave)
    peer = Peer(int(arguments[0]), int(arguments[1]))
    for end in (peer.read_end, peer.write_end):
        os.set_inheritable(end, False)
    with suppress(PeerGone, BrokenPipeError):
        key, theirs, *rest = peer.receive()
        answers: list[Answer] = []
        try:
            _explore(peer, Order(key, Versions(*theirs), *rest), answers)
        except (PeerGone, BrokenPipeError):
            raise
        except Exception as error:
            peer.send((*answers, told(error)))


def _explore(peer: Peer, order: Order, answers: list[Answer]) -> None:
    """Answer batch after batch; *answers* are those to the one under way."""
    found = registry.find(order.reference, order.variant or None)
    if (there := digest(found)) != order.digest:
        raise BadInput(
            f"The files that the scenario {order.reference!r} comes from differ from those where the search was started "
            f"(digest {there[:12]} there, {order.digest[:12]} here), so an execution would not be the same. "
            "Bring both to the same state."
        )
    scenario = bounded(found, None, order.faults)
    with theatre(scenario, order.workers, seed=order.seed, isolation=order.isolation, patience=order.patience) as stage:
        stage.driver.wants_outcomes = order.outcomes
        workload = scenario.workload(order.workers)
        peer.send(((READY, ""),))
        while True:
            for task in peer.receive():
                data, failed = perform(stage, workload, task)
                answers.append((FAILED if failed else RAN, data))
                if failed:
                    break
            peer.send(tuple(answers))
            answers.clear()


if __name__ == "__main__":
    main(sys.argv[1:])
