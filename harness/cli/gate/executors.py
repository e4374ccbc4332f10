"""Executors for the commands of a gate, one command per row: processes of this machine, or nodes of a cluster."""

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
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from harness.cli.arguments import check_slots
from harness.cli.forked import Forked, can_fork
from harness.cluster.rows import GRACE, Command, Said, carry, halt
from harness.control.sharding.executor import Executor
from harness.errors import HarnessError
from harness.project import config
from harness.saved.counterexample import load, save

if TYPE_CHECKING:
    from harness.cluster.connecting import Cluster

__all__ = ["carriers"]

_POLL = 0.02


class _Process(NamedTuple):
    """A command under way: its future result, its process, its deadline (monotonic seconds) and its output files."""

    promise: Future[Said]
    process: subprocess.Popen[bytes] | Forked
    deadline: float
    output: IO[bytes]
    errors: IO[bytes]


class _Processes:
    """An executor that runs up to *slots* commands at a time, each in a process of this machine."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._waiting: deque[tuple[Command, Future[Said]]] = deque()
        self._running: list[_Process] = []

    def submit(self, command: Command) -> Future[Said]:
        """Return the future result of *command*, which starts when a slot is free."""
        promise: Future[Said] = Future()
        self._waiting.append((command, promise))
        return promise

    def wait(self, seconds: float | None = None) -> None:
        """Start commands while slots are free; after a short pause, collect the results of those that have ended."""
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
        process = _begun(command, output, errors)
        promise.set_running_or_notify_cancel()
        self._running.append(_Process(promise, process, time.monotonic() + command.seconds + GRACE, output, errors))

    def _ended(self, each: _Process) -> bool:
        if each.process.poll() is None and time.monotonic() > each.deadline:
            each.process.kill()
            each.process.wait()
        return each.process.returncode is not None

    def close(self) -> None:
        """Kill the commands under way."""
        for each in self._running:
            each.process.kill()
            each.process.wait()


class _OnNodes:
    """An executor that runs commands on the nodes of a cluster; a command lost with its node runs again elsewhere.

    Files travel with the command: a known counterexample to the node, and the counterexamples found back.
    """

    def __init__(self, cluster: Cluster, slots: int) -> None:
        self.slots = slots
        self._cluster = cluster
        self.key = uuid.uuid4().hex
        self._waiting: deque[tuple[Command, Future[Said]]] = deque()
        self._away: dict[Future[Said], tuple[Command, Future[Said]]] = {}

    def submit(self, command: Command) -> Future[Said]:
        """Return the future result of *command*, which is sent when a slot is free."""
        promise: Future[Said] = Future()
        self._waiting.append((command, promise))
        return promise

    def wait(self, seconds: float | None = None) -> None:
        """Send commands while slots are free; return when a node has answered, or after *seconds*."""
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
    """Return *said* with a node's path replaced by one here; a counterexample that came back is saved first."""
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


def _begun(command: Command, output: IO[bytes], errors: IO[bytes]) -> subprocess.Popen[bytes] | Forked:
    arguments = command.line(os.getpid())
    if can_fork():
        # Import the modules that every row needs once, before the fork.
        import harness.cli.running
        import harness.control.run  # noqa: F401

        return Forked(arguments, output, errors, postgres=command.postgres)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "harness", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        env=config.child_environment(postgres=command.postgres),
    )


@contextmanager
def carriers(address: str | None, jobs: int | None) -> Iterator[Executor[Command, Said]]:
    """Yield an executor of commands: on the cluster at *address*, else in processes here; stop all commands at the end.

    *jobs* is the number of commands at once, by default the number of cores, or of the cluster's threads. Raises
    ``BadInput`` if the cluster can't be used, or if there are more than 64 jobs without a cluster.
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
