"""The worker pool and its fork server. No other file has workers started, killed or waited for."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from multiprocess import get_context

from harness.boundary import messages
from harness.boundary.clock_readings import Readings
from harness.boundary.flight_recorder import End, FlightRecorder
from harness.boundary.inherited_locks import Common, Inherited
from harness.boundary.virtual_ids import ProcessIds
from harness.boundary.wire import Message, Peer, PeerGone
from harness.control.testbed import forkserver
from harness.control.testbed.shortage import Shortage, ascribed, oom_kills, without_descriptors
from harness.control.testbed.slowness import FIRST, Watch
from harness.errors import SetupFailed, Unjudged, Unsupported
from harness.scenario import Scenario
from harness.worker.main import STACK_SIGNAL
from harness.worker.page_copies import learn, look
from harness.worker.roles import warm

__all__ = ["PoolGone", "Worker", "WorkerDied", "WorkerPool", "WorkerStuck"]


class WorkerDied(Unjudged):
    """A worker process ended by itself.

    ``exit_code`` is negative for a signal, None if it is not known; ``passed`` is the content of its flight recorder.
    """

    def __init__(self, number: int, exit_code: int | None) -> None:
        self.number, self.exit_code = number, exit_code
        self.passed: list[Message] = []
        super().__init__(f"worker {number} {ending(exit_code)}")


class PoolGone(Unjudged):
    """The fork server has ended, and the workers with it."""

    def __init__(self) -> None:
        super().__init__(
            "The process that forks the workers has ended, and so have they. Did the code under test kill its parent "
            "process, or did the system, for lack of memory? The current execution can't be judged."
        )


class WorkerStuck(Unjudged):
    """A worker reached no schedule point in time; ``stack`` shows where its threads were."""

    def __init__(self, number: int, how: str, stack: str) -> None:
        self.number, self.stack = number, stack
        super().__init__(
            f"Worker {number} reached no schedule point {how}. It was killed. If it only needs longer, give it more "
            f"(patience). Its Python stack, innermost call first:\n{stack.rstrip()}"
        )


def ending(exit_code: int | None) -> str:
    """Return in words how a process ended."""
    if exit_code is None:
        return "ended"
    if exit_code < 0:
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}"


class Worker:
    """The controller's side of one worker: its pipes, its process, and its time limit (``patience``, in seconds)."""

    def __init__(self, number: int, peer: Peer, stacks: int, *, trail: FlightRecorder, patience: float) -> None:
        self.number, self.peer, self.pid = number, peer, 0
        self.generation = 0
        self._stacks, self._trail, self._patience = stacks, trail, patience
        self._poll = select.poll()
        self._poll.register(peer.read_end, select.POLLIN)
        self._process = -1
        self._first = min(FIRST, patience / 4)
        self._milliseconds = int(self._first * 1000) + 1

    def __repr__(self) -> str:
        return f"<Worker {self.number} pid={self.pid} generation={self.generation}>"

    def forked(self, pid: int) -> None:
        """Record that *pid* is now this worker's process, and watch for its end."""
        self.pid = pid
        self.generation += 1
        with ascribed("a descriptor for a worker process (pidfd_open)"):
            self._process = os.pidfd_open(pid)
        self._poll.register(self._process, select.POLLIN)

    def ask(self, order: Message) -> Message:
        """Send *order* and return the report that follows.

        Raises ``WorkerDied`` when the process ends instead, ``WorkerStuck`` when there is no report in time.
        """
        self._trail.clear()
        self.peer.send(order)
        return self.report()

    def report(self) -> Message:
        """Return the next report; raises as ``ask`` does."""
        peer, watch = self.peer, None
        while True:
            ready = self._poll.poll(self._milliseconds if watch is None else watch.pause)
            if not ready:
                if watch is None:
                    watch = Watch(self.pid, self._patience, self._first)
                    continue
                how, stack = watch.stuck(self._stack)
                if how:
                    raise WorkerStuck(self.number, how, stack)
                continue
            if ready[0][0] != peer.read_end and len(ready) == 1:
                raise self._died()
            peer.fill()
            if (message := peer.complete()) is not None:
                return message

    def _died(self) -> WorkerDied:
        died = WorkerDied(self.number, None)
        died.passed = self._trail.records()
        return died

    def wait_dead(self) -> None:
        """Wait until the process has ended, and discard it with all that it has written and was not read."""
        poll = select.poll()
        poll.register(self._process, select.POLLIN)
        poll.poll()
        self._poll.unregister(self._process)
        os.close(self._process)
        self._process = -1
        while self._poll.poll(0) and os.read(self.peer.read_end, 1 << 16):
            pass
        self.peer.forget()

    def _stack(self) -> str:
        with contextlib.suppress(OSError):
            os.ftruncate(self._stacks, 0)
            os.kill(self.pid, STACK_SIGNAL)
            deadline = time.monotonic() + 1.0
            while time.monotonic() < deadline:
                time.sleep(0.02)
                text = os.pread(self._stacks, 20_000, 0).decode(errors="replace")
                if "most recent call first" in text and text.endswith("\n"):
                    return _readable(text)
        return "(its stack could not be had: the process does not answer signals)"


def _readable(stack: str) -> str:
    """Return a stack that ``faulthandler`` wrote, without the frames of the harness."""
    mark = os.sep + "harness" + os.sep
    lines = [line for line in stack.splitlines() if not (mark in line and ("/worker/" in line or "/control/" in line))]
    return "\n".join(line for line in lines if "multiprocess/" not in line)


class WorkerPool:
    """The worker pool of a run: its workers, and their fork server, which removes the shared directory when it ends."""

    def __init__(
        self, scenario: Scenario, workers: int, directory: Path, *, patience: float, imports: tuple[str, ...] = ()
    ) -> None:
        _require_linux()
        self._directory = directory
        self.gone = False
        self._oom_kills = oom_kills()
        self.roles = scenario.roles(workers)
        with ascribed("the pipes and the memory that the processes of an exploration share"):
            to_server, from_server = os.pipe(), os.pipe()
            self.inherited, self.ids, self.readings = Inherited(), ProcessIds(len(self.roles)), Readings()
            pipes = [(os.pipe(), os.pipe()) for _ in self.roles]
            ends = [
                End(Peer(down[0], up[1]), _stack_file(number), FlightRecorder())
                for number, (down, up) in enumerate(pipes)
            ]
        self._server = Peer(from_server[0], to_server[1])
        self.workers = [
            Worker(number, Peer(up[0], down[1]), ends[number].stacks, trail=ends[number].trail, patience=patience)
            for number, (down, up) in enumerate(pipes)
        ]
        self._ends = [*to_server[1:], *from_server[:1], *(end for down, up in pipes for end in (down[1], up[0]))]
        # Imported in this process, not in the fork server, so that it need not be imported again for the next
        # exploration.
        warm(scenario)
        sys.stdout.flush()
        sys.stderr.flush()
        self._process = get_context("fork").Process(
            target=forkserver.serve,
            args=(Peer(to_server[0], from_server[1]), ends, scenario),
            kwargs={
                "common": Common(self.inherited, self.ids, self.readings),
                "seen": look(),
                "roles": self.roles,
                "directory": directory,
                "unneeded": list(self._ends),
                "imports": imports,
            },
            name="harness fork server",
        )
        self._stacks = [end.stacks for end in ends]
        self._kept = [end for down, up in pipes for end in (down[0], up[1])]
        self._start_server((to_server[0], from_server[1]))
        kind, said = self._server.receive()
        if kind == "ready":
            learn(said)
        else:
            self.close()
            raise Unsupported(
                f"The instrumentation could not be installed ({said}). It needs a CPython whose sqlite3 module is linked to "
                "the SQLite library dynamically, and aiosqlite 0.22 or later if that is used."
            )

    def _start_server(self, its_ends: tuple[int, int]) -> None:
        """Start the fork server and close *its_ends* of the pipes; on ``Shortage``, close all other ends too."""
        try:
            with _out_of_collections(), ascribed("a process that forks the workers"):
                self._process.start()
        except Shortage:
            for end in (*self._ends, *self._stacks, *self._kept):
                os.close(end)
            self.inherited.close()
            raise
        finally:
            for end in its_ends:
                os.close(end)

    @property
    def size(self) -> int:
        """The number of workers that the workload can name, without the probe and the clients' process."""
        return self.roles.count("worker")

    def set_up(self, db: Path, seed: str) -> None:
        """Run ``setup`` in a process of its own to make the shared state at *db*; raises ``SetupFailed``."""
        report = self._order(messages.set_up(str(db), seed))
        if report != "ok":
            raise SetupFailed(f"The scenario's setup failed, so nothing was raced:\n{str(report).rstrip()}")

    def fork(self, worker: Worker) -> None:
        """Start a fresh process for *worker* and wait until it serves."""
        worker.forked(int(str(self._order(messages.fork(worker.number)))))
        self.ids.forked(worker.number, worker.pid)
        worker.report()

    def reap(self, worker: Worker) -> int | None:
        """Wait for the end of *worker*'s process; return its exit code, None if it is not known."""
        worker.wait_dead()
        code = self._order(messages.reap(worker.number))
        return code if isinstance(code, int) else None

    def kill(self, worker: Worker) -> None:
        """Kill *worker* with SIGKILL, and wait until it is gone and its locks are released."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)
        self.reap(worker)

    def renew(self, worker: Worker) -> None:
        """Replace *worker*'s process by a fresh one."""
        self.kill(worker)
        self.fork(worker)

    def _order(self, order: Message) -> object:
        try:
            self._server.send(order)
            kind, said = self._server.receive()
        except (PeerGone, BrokenPipeError):
            self.gone = True
            raise PoolGone from None
        if kind == "refused":
            raise Shortage(str(said))
        return said

    def short(self) -> str:
        """Return in words which worker has run out of file descriptors; an empty string if none has."""
        return without_descriptors(worker.pid for worker in self.workers if worker.pid)

    def lacked_memory(self) -> bool:
        """Return whether the system has killed any process for lack of memory since the last call."""
        before, self._oom_kills = self._oom_kills, oom_kills()
        return self._oom_kills > before

    def close(self) -> None:
        """End every process; the fork server removes the shared directory before it ends."""
        for end in self._ends:
            os.close(end)
        self._process.join()
        for worker in self.workers:
            if worker._process >= 0:
                os.close(worker._process)
        for end in (*self._stacks, *self._kept):
            os.close(end)
        self.inherited.close()


@contextlib.contextmanager
def _out_of_collections() -> Iterator[None]:
    """Exempt the present heap from garbage collection in a process forked here: a pass through it would copy it."""
    frozen_before = gc.get_freeze_count() > 0
    gc.freeze()
    try:
        yield
    finally:
        if not frozen_before:
            gc.unfreeze()


def _stack_file(number: int) -> int:
    file = os.memfd_create(f"harness-stack-{number}")
    # With O_APPEND, the next stack is written at the start of the file once that has been truncated.
    fcntl.fcntl(file, fcntl.F_SETFL, fcntl.fcntl(file, fcntl.F_GETFL) | os.O_APPEND)
    return file


def _require_linux() -> None:
    missing = [name for name in ("pidfd_open", "memfd_create", "sched_setaffinity") if not hasattr(os, name)]
    if missing:
        raise Unsupported(
            f"The harness needs Linux (5.3 or later): this system ({sys.platform}) has no {', '.join(missing)}. "
            "On macOS, run it in a Linux container."
        )
    with ascribed("a descriptor for a process (pidfd_open)"):
        os.close(os.pidfd_open(os.getpid()))
    with ascribed("memory with a descriptor (memfd_create)"):
        os.close(os.memfd_create("harness-probe"))
