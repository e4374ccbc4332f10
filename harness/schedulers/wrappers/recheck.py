"""Finds uncontrolled nondeterminism: repeats executions, and raises ``Diverged`` where a repetition differs."""

from __future__ import annotations

from harness.errors import BadInput, Diverged
from harness.result import Execution
from harness.schedulers.base import Scheduler, View
from harness.schedulers.replay import Replay
from harness.schedulers.wrappers.base import Wrapper

__all__ = ["Recheck"]


class Recheck(Wrapper):
    """Repeats each *every*-th execution of *inner*; ``start`` raises ``Diverged`` if the repetition differs.

    The steps, their footprints and the clients' answers are compared. *inner* is told of its own executions only. An
    execution that was abandoned, failed or got stuck is not repeated, nor is the last of a run. The idea is that of
    awslabs/shuttle's check for uncontrolled nondeterminism. Raises ``BadInput`` if *every* is less than 1.
    """

    def __init__(self, inner: Scheduler, every: int = 1) -> None:
        super().__init__(inner)
        if every < 1:
            raise BadInput(f"Rechecking every {every} executions makes no sense: give 1 or more.")
        self._every = every
        self._count = 0
        self._recorded: Execution | None = None
        self._replay: Replay | None = None
        self.repeated = 0
        """The number of executions that were repeated."""

    def start(self, previous: Execution | None) -> bool:
        """Check *previous* if it was a repetition; return whether there is an execution to repeat or to run."""
        if self._replay is not None and self._recorded is not None and previous is not None:
            self._replay.compare(previous.steps)
            _compare(self._recorded, previous)
            self.repeated += 1
            previous, self._replay = self._recorded, None
        elif previous is not None:
            self._count += 1
            sound = not (previous.abandoned or previous.stuck or previous.failure)
            if sound and self._count % self._every == 0:
                self._recorded = previous
                self._replay = Replay(previous.schedule, [step.digest for step in previous.steps])
                return self._replay.start(None)
        return self._inner.start(previous)

    def choose(self, view: View) -> str | None:
        """Return the recorded choice, or that of the wrapped scheduler."""
        return self._inner.choose(view) if self._replay is None else self._replay.choose(view)

    def ahead(self, view: View) -> int:
        """Return the look-ahead of the recording or of the wrapped scheduler."""
        return super().ahead(view) if self._replay is None else self._replay.ahead(view)


def _compare(recorded: Execution, again: Execution) -> None:
    """Raise ``Diverged`` if *again* ended sooner, or if a step, a footprint or an answer to a client differs."""
    for number, (step, other) in enumerate(zip(recorded.steps, again.steps, strict=False)):
        if step != other:
            raise Diverged(number, str(step), str(other))
    if len(again.steps) < len(recorded.steps):
        raise Diverged(len(again.steps), recorded.steps[len(again.steps)].digest, "the execution has ended")
    for event, heard in zip(recorded.history, again.history, strict=False):
        if event != heard:
            raise Diverged(event.step, f"{event.client} was told {event.value!r}", f"it was told {heard.value!r}")
