"""The fork server: imports and instruments the code under test, forks workers, and never opens a database.

A connection inherited through a fork leaves SQLite's lock table in a state in which every later connection of the
child is "database is locked" for ever; so a process that forks must not have any. The fork server also cleans up: when
the controller is gone, however it ended, it kills the workers, removes the shared directory and ends.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic  # by name: the module's own functions show virtual time here
from typing import Any

from multiprocess import get_context

from harness.boundary import messages
from harness.boundary.flight_recorder import End
from harness.boundary.inherited_locks import Common
from harness.boundary.wire import Message, Peer, PeerGone
from harness.control.testbed.shortage import Shortage, ascribed
from harness.project import config
from harness.scenario import Scenario
from harness.worker.imported import import_all
from harness.worker.main import Instrumented, instrument
from harness.worker.page_copies import Seen

__all__ = ["serve"]

_PR_SET_PDEATHSIG = 1
_SETUP_SECONDS = 60


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent is gone."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def serve(
    orders: Peer,
    ends: list[End],
    scenario: Scenario,
    *,
    common: Common,
    seen: Seen,
    roles: tuple[str, ...],
    directory: Path,
    unneeded: list[int],
    imports: Sequence[str] = (),
) -> None:
    """Carry out *orders* until the controller is gone: ``fork`` and ``reap`` workers, run ``setup``.

    *ends* connect each worker with the controller. *common* is the memory that workers share, *seen* the result of the
    controller's search of modules for functions to replace, *roles* the role of each worker. *imports* are imported
    before anything is replaced. *unneeded* are the controller's ends of the pipes, closed here so that its death is
    noticed.
    """
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for end in unneeded:
        os.close(end)
    if config.postgres():
        # The URL may have a password, which the code under test has no need of.
        config.use_postgres("")
    try:
        import_all(imports)
        server = _Server(orders, ends, scenario, common=common, seen=seen, roles=roles, directory=directory)
    except Exception as error:
        with suppress(BrokenPipeError):
            orders.send(messages.unsupported(f"{type(error).__name__}: {error}"))
        os._exit(70)
    try:
        orders.send(messages.ready(server.not_looked_for))
        while True:
            server.obey(orders.receive())
    except (PeerGone, BrokenPipeError):
        pass
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        server.kill_all()
        _remove(directory)
        # The whole process group, for processes that the code under test has left behind, whatever their parent.
        os.killpg(0, signal.SIGKILL)


class _Server:
    def __init__(
        self,
        orders: Peer,
        ends: list[End],
        scenario: Scenario,
        *,
        common: Common,
        seen: Seen,
        roles: tuple[str, ...],
        directory: Path,
    ) -> None:
        self._orders, self._ends, self._scenario, self._roles = orders, ends, scenario, roles
        self._instrumented: Instrumented = instrument(scenario, common, seen)
        self.not_looked_for = self._instrumented.not_looked_for
        self._instrumented.directory = str(directory / "world")
        self._context = get_context("fork")
        self._workers: dict[int, Any] = {}
        # A worker's collections then leave these objects alone: to go through them would copy the pages it shares.
        gc.collect()
        gc.freeze()

    def obey(self, order: tuple[Any, ...]) -> None:
        """Carry *order* out and answer it; if the system refuses a resource that it needs, answer ``refused``."""
        try:
            self._carry_out(order)
        except Shortage as error:
            self._orders.send(messages.refused(str(error)))

    def _carry_out(self, order: tuple[Any, ...]) -> None:
        kind, *fields = order
        take: dict[str, Callable[..., Message]] = {
            "fork": lambda number: messages.forked(self._fork(number)),
            "reap": lambda number: messages.reaped(self._reap(number)),
            "set up": lambda db, seed: messages.was_set_up(self._set_up(db, seed)),
        }
        self._orders.send(take[kind](*fields))

    def _fork(self, number: int) -> int:
        _drain(self._ends[number].peer.read_end)

        def work() -> None:
            die_with_parent()
            self._close_all_but(number)
            self._instrumented.serve(self._ends[number], self._scenario, self._roles[number], number)

        process = self._context.Process(target=_quietly, args=(work,), name=f"harness worker {number}", daemon=False)
        with ascribed(f"a process for worker {number}"):
            process.start()
        self._workers[number] = process
        return int(process.pid)

    def _close_all_but(self, number: int) -> None:
        """Close the ends of pipes that worker *number* must not hold: those for orders, and the other workers'."""
        for end in (self._orders.read_end, self._orders.write_end):
            os.close(end)
        for other, (peer, _, _) in enumerate(self._ends):
            if other != number:
                os.close(peer.read_end)
                os.close(peer.write_end)

    def _reap(self, number: int) -> int | None:
        process = self._workers.pop(number)
        process.join()
        return process.exitcode if process.exitcode is None else int(process.exitcode)

    def _set_up(self, db: str, seed: str) -> str:
        with ascribed("a pipe for setup"):
            read_end, write_end = os.pipe()

        def work() -> None:
            die_with_parent()
            os.close(read_end)
            report = _report_of(lambda: self._instrumented.set_up(self._scenario.setup, db, seed))
            os.write(write_end, report.encode()[:60_000])

        process = self._context.Process(target=_quietly, args=(work,), name="harness setup")
        with ascribed("a process for setup"):
            process.start()
        os.close(write_end)
        report = self._hear(read_end)
        os.close(read_end)
        if report is None:
            process.kill()
            report = f"it took more than {_SETUP_SECONDS} s and was killed".encode()
        process.join()
        if report:
            return report.decode()
        return f"the process that ran it ended with exit code {process.exitcode}"

    def _hear(self, read_end: int) -> bytes | None:
        """Return all bytes from *read_end*, None after 60 s; raises ``PeerGone`` if the controller ends meanwhile."""
        poll = select.poll()
        poll.register(read_end, select.POLLIN)
        poll.register(self._orders.read_end, 0)
        report, deadline = b"", monotonic() + _SETUP_SECONDS
        while (left := deadline - monotonic()) > 0:
            for end, _ in poll.poll(left * 1000):
                if end != read_end:
                    raise PeerGone
                piece = os.read(read_end, 1 << 16)
                if not piece:
                    return report
                report += piece
        return None

    def kill_all(self) -> None:
        for process in self._workers.values():
            process.kill()
        for process in self._workers.values():
            process.join()


def _remove(directory: Path) -> None:
    """Remove *directory*, trying for up to 4 s: a database server that is just ending may still write to it."""
    for _ in range(200):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        select.poll().poll(20)


def _drain(read_end: int) -> None:
    """Drop an order that the previous process of this worker did not live to read."""
    poll = select.poll()
    poll.register(read_end, select.POLLIN)
    while poll.poll(0) and os.read(read_end, 1 << 16):
        pass


def _quietly(work: Callable[[], None]) -> None:
    """Run *work* and end the process without the clean-up inherited from its parent (buffers, atexit, threads)."""
    try:
        work()
    except BaseException as error:
        sys.stderr.write(f"harness: a worker process failed: {type(error).__name__}: {error}\n")
        sys.stderr.flush()
        os._exit(70)
    os._exit(0)


def _report_of(work: Callable[[], None]) -> str:
    """Run *work* and return "ok", or the traceback of its exception (the last four frames)."""
    import traceback

    try:
        work()
    except BaseException:
        return traceback.format_exc(limit=-4)
    return "ok"
