"""Uncontrolled actions as a resource: nothing is decided by the schedule here, so each action is reported by name."""

from __future__ import annotations

from harness.worker.event_loop.loop import VirtualLoop
from harness.worker.instrument.resource import Beginning, Resource
from harness.worker.instrument.uncontrolled import audit_hook, c_libraries, offspring, sockets, unexplored
from harness.worker.instrument.uncontrolled.outside import Outside
from harness.worker.runtime import Runtime

__all__ = ["Uncontrolled"]


class Uncontrolled(Resource):
    """Files elsewhere, sockets, programs, memory maps, C libraries, forked processes, waits for pipes."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.outside = Outside(runtime)
        c_libraries.install(self.outside)
        unexplored.refuse(VirtualLoop, runtime)

    def watch(self) -> None:
        """Install the audit hook and its companions: forks, pipes, sockets."""
        offspring.watch(self._runtime, self.outside)
        unexplored.name_it(self._runtime)
        sockets.install(self.outside)
        audit_hook.install(self.outside)

    def begin(self, beginning: Beginning) -> None:
        """Forget the actions that were reported."""
        self.outside.begin(beginning.directory)
