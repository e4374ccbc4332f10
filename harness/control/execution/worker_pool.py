"""Brings the processes of the worker pool into an execution and out of it again."""

from __future__ import annotations

from pathlib import Path

from harness.boundary import messages
from harness.boundary.wire import Message
from harness.control.execution.actors import WorkerState
from harness.control.testbed.processes import WorkerDied, WorkerPool, WorkerStuck
from harness.errors import BadInput, SetupFailed, Unjudged
from harness.scenario import Scenario
from harness.values.history import Access
from harness.values.uncontrolled import Touch, touch_of

__all__ = ["Broke", "ExecutionWorkers"]


_EVERYTHING = Access("*", "w")


class Broke(Unjudged):
    """A worker reported that it can't go on."""


class ExecutionWorkers:
    """The processes of one execution. ``running`` are the numbers of those that have begun it and not ended it.

    ``opened_with`` are the schedule points at which tasks and threads started by applications parked while these were
    opened. ``opened_unseen`` is what the applications touched meanwhile outside the control of any schedule.
    """

    def __init__(
        self, scenario: Scenario, worker_pool: WorkerPool, states: list[WorkerState], seed: int, db: Path
    ) -> None:
        self._scenario, self._worker_pool, self._states, self._seed, self._db = (
            scenario,
            worker_pool,
            states,
            seed,
            str(db),
        )
        # A worker with nothing to open begins with its first call, which saves the messages for beginning and ending.
        self.at_first_call = scenario.open is None and scenario.app is None
        self.running: set[int] = set()
        self.opened_with: list[tuple[WorkerState, Message]] = []
        self.opened_unseen: list[Touch] = []

    def __repr__(self) -> str:
        return f"<ExecutionWorkers running={self.running}>"

    def prepare(self, now: float, isolated: bool) -> None:
        """Have every process except the probe's open its application, in freshly forked processes if *isolated*.

        Where workers begin with their first call, processes are forked here if need be, and nothing else is done.
        """
        for state in self._states:
            if isolated or not state.worker.pid:
                (self._worker_pool.renew if state.worker.pid else self._worker_pool.fork)(state.worker)
            if not self.at_first_call and state.role != "probe":
                self.open(state, now)

    def open(self, state: WorkerState, now: float, anew: bool = False) -> list[Access]:
        """Have a process open its application, and return the accesses of that.

        *anew* says that it replaces one that was killed. Statements meanwhile are not reported one by one, so where
        there may have been any, "everything" is among the accesses. Raises ``SetupFailed`` if the application can't be
        opened (``Broke`` if *anew*), ``BadInput`` if the worker refuses the scenario, ``Broke`` if it can't begin.
        """
        self.running.add(state.worker.number)
        news, _ = state.worker.ask(messages.prepare(now, *self.beginning(state)))
        touched: list[Access] = []
        if self._scenario.database == "postgresql":
            touched.append(_EVERYTHING)
        for kind, *fields in news:
            if kind == "unopened":
                (text,) = fields
                if anew:
                    raise Broke(f"Worker {state.worker.number}, forked anew, could not open its application: {text}.")
                raise SetupFailed(f"Worker {state.worker.number} could not open its application: {text}")
            if kind == "refused":
                (text,) = fields
                raise BadInput(f"The scenario {self._scenario.name!r} can't be raced. {text}")
            if kind == "broken":
                (text,) = fields
                raise Broke(f"Worker {state.worker.number} could not begin: {text}.")
            if kind == "touches":
                touched.append(_EVERYTHING)
            elif kind == "access":
                touched.append(Access(*fields))
            elif kind == "unseen":
                self.opened_unseen.append(touch_of(state.worker.number, tuple(fields)))
            elif kind in ("parked", "waits"):
                self.opened_with.append((state, (kind, *fields)))
        state.opens_quietly = state.opens_quietly and not touched
        return touched

    def beginning(self, state: WorkerState) -> tuple[str, str, bool]:
        """Return a worker's seed (new each time it begins), its database, and whether at most one client calls it."""
        seed = f"{self._seed}/{state.beginnings}"
        state.beginnings += 1
        return seed, self._db, state.alone

    def finish(self, now: float) -> list[str]:
        """Have every process close that has not ended by itself; return descriptions of all that was left open.

        These are connections still in a transaction, and threads that are still running.
        """
        left: list[str] = []
        for state in self._states:
            if state.worker.number in self.running:
                left += self._closed(state, state.worker.ask(messages.finish(now)))
        return left

    def _closed(self, state: WorkerState, report: Message) -> list[str]:
        for kind, *fields in report[0]:
            if kind == "closed":
                left_open, error = fields
                self.running.discard(state.worker.number)
                if error:
                    raise Broke(f"Worker {state.worker.number} could not close its application: {error}.")
                return [f"{state.name}: {text}" for text in left_open]
            if kind == "broken":
                (text,) = fields
                raise Broke(f"Worker {state.worker.number} could not end: {text}.")
        raise Broke(f"Worker {state.worker.number} went on instead of closing.")

    def clear(self, now: float) -> None:
        """Abort the execution in every process that is still in it; replace a process that does not obey."""
        for state in self._states:
            if state.worker.number not in self.running or self._worker_pool.gone:
                continue
            try:
                self._closed(state, state.worker.ask(messages.abort(now)))
            except (WorkerDied, WorkerStuck, Broke, BrokenPipeError):
                self._worker_pool.renew(state.worker)
                self.running.discard(state.worker.number)
