"""Threads of a worker, and the locks between them, as a resource."""

from __future__ import annotations

from harness.worker.instrument.resource import Beginning, Resource
from harness.worker.instrument.threads import real_threads
from harness.worker.instrument.threads.made_before import MadeBefore
from harness.worker.instrument.threads.real_threads import Threads
from harness.worker.page_copies import Seen
from harness.worker.runtime import Runtime
from harness.worker.virtual.rebind import Replacement

__all__ = ["WorkerThreads"]


class WorkerThreads(Resource):
    """Threads that the code under test starts, and locks, events, conditions and queues in a worker's memory."""

    def __init__(self, runtime: Runtime) -> None:
        self._threads = Threads(runtime)
        self._locks_before = MadeBefore(self._threads)

    def replacements(self) -> list[Replacement]:
        """Return those for ``threading``, ``queue`` and ``concurrent.futures``."""
        return real_threads.replacements(self._threads)

    def after_replacing(self, seen: Seen) -> None:
        """Replace the locks that modules made when they were imported."""
        self._locks_before.replace(seen.without_locks)

    def begin(self, beginning: Beginning) -> None:
        """Number threads and locks anew."""
        self._threads.begin()

    def running(self) -> list[str]:
        """Return the threads that are left and are no daemons."""
        return self._threads.left()

    def clean(self) -> None:
        """Renew thread pools, and release the locks of modules."""
        self._threads.clean()
        self._locks_before.reset()
