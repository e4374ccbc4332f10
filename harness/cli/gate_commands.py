"""The commands of a gate, one per row, and the two who carry them out: processes of this machine, nodes of a cluster."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from harness import config
from harness.cli.arguments import check_slots
from harness.cli.forked import Forked, can_fork
from harness.cluster.rows import GRACE, Command, Said, carry, halt
from harness.counterexample import load, save
from harness.errors import HarnessError
from harness.executor import Executor

if TYPE_CHECKING:
    from harness.cluster.connecting import Cluster

__all__ = ["carriers"]

_POLL = 0.02


class _Process(NamedTuple):
    """One command under way."""

    promise: Future[Said]
    process: subprocess.Popen[bytes] | Forked
    deadline: float
    output: IO[bytes]
    errors: IO[bytes]


class _Processes:
    """An executor of commands: *slots* processes of this machine at a time."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._waiting: deque[tuple[Command, Future[Said]]] = deque()
        self._running: list[_Process] = []

    def submit(self, command: Command) -> Future[Said]:
        """Have *command* carried out when it is its turn."""
        promise: Future[Said] = Future()
        self._waiting.append((command, promise))
        return promise

    def wait(self, seconds: float | None = None) -> None:
        """Start what there is room for, and see, after a short while, what has ended."""
        while self._waiting and len(self._running) < self.slots:
            self._start(*self._waiting.popleft())
        time.sleep(_POLL)
        for each in [each for each in self._running if self._ended(each)]:
            self._running.remove(each)
            with each.output, each.errors:
                each.output.seek(0)
                each.errors.seek(0)
                said = Said(each.output.read(), each.errors.read(), each.process.wait(), {})
            each.promise.set_result(said)

    def _start(self, command: Command, promise: Future[Said]) -> None:
        output, errors = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 -- closed by wait
        process = _begun(command.line(os.getpid()), output, errors)
        promise.set_running_or_notify_cancel()
        self._running.append(_Process(promise, process, time.monotonic() + command.seconds + GRACE, output, errors))

    def _ended(self, each: _Process) -> bool:
        if each.process.poll() is None and time.monotonic() > each.deadline:
            each.process.kill()
            each.process.wait()
        return each.process.returncode is not None

    def close(self) -> None:
        """Kill what is under way."""
        for each in self._running:
            each.process.kill()
            each.process.wait()


class _OnNodes:
    """An executor of commands on the nodes of a cluster, which takes turns with them; one that is lost is carried out again.

    Files go there and come back with the command: a known counterexample, and those that were found.
    """

    def __init__(self, cluster: Cluster, slots: int) -> None:
        self.slots = slots
        self._cluster = cluster
        self.key = uuid.uuid4().hex
        self._waiting: deque[tuple[Command, Future[Said]]] = deque()
        self._away: dict[Future[Said], tuple[Command, Future[Said]]] = {}

    def submit(self, command: Command) -> Future[Said]:
        """Have *command* carried out when there is room for it."""
        promise: Future[Said] = Future()
        self._waiting.append((command, promise))
        return promise

    def wait(self, seconds: float | None = None) -> None:
        """Send what there is room for; return when a node has answered, or after so many *seconds*."""
        while self._waiting and len(self._away) < self.slots:
            command, promise = self._waiting.popleft()
            parcel = pickle.dumps((self.key, config.hash_seed(), command, command.content()))
            promise.set_running_or_notify_cancel()
            self._away[self._cluster.call(carry, parcel)] = command, promise
        self._cluster.wait(seconds)
        for answer in [answer for answer in self._away if answer.done()]:
            command, promise = self._away.pop(answer)
            if (error := answer.exception()) is None:
                promise.set_result(_brought(answer.result(), command))
            elif isinstance(error, HarnessError):
                raise error
            else:
                promise.set_exception(error)


def _brought(said: Said, command: Command) -> Said:
    """Return *said* with the paths of a node replaced by those here, where what came back with it is kept."""
    try:
        data = json.loads(said.output)
    except ValueError:
        return said
    found = data.get("counterexample")
    if found and command.file is not None:
        data["counterexample"] = str(command.file)
    elif found and (content := said.files.get(Path(found).name)) is not None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, Path(found).name)
            file.write_bytes(content)
            data["counterexample"] = str(save(load(file), Path(command.output)))
    return said._replace(output=json.dumps(data).encode())


def _begun(arguments: Sequence[str], output: IO[bytes], errors: IO[bytes]) -> subprocess.Popen[bytes] | Forked:
    if can_fork():
        # What every row needs, imported once.
        import harness.cli.running
        import harness.control.run  # noqa: F401

        return Forked(arguments, output, errors)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "harness", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        env=config.child_environment(),
    )


@contextmanager
def carriers(address: str | None, jobs: int | None) -> Iterator[Executor[Command, Said]]:
    """Give an executor of commands: on the cluster at *address*, or without one processes here; stop all at the end.

    *jobs* is how many at once, by default as many as there are cores, or threads on the cluster. Raises ``BadInput`` for a
    cluster that won't do, and for more jobs than one machine is to have.
    """
    check_slots(jobs, address)
    if address is None:
        processes = _Processes(jobs or len(os.sched_getaffinity(0)))
        try:
            yield processes
        finally:
            processes.close()
        return
    from harness.cluster.connecting import connected

    with connected(address) as cluster:
        nodes = _OnNodes(cluster, jobs or sum(cluster.nodes().values()))
        try:
            yield nodes
        finally:
            cluster.tell(halt, nodes.key)
