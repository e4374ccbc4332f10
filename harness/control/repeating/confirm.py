"""Confirms failures: one counts only if it repeats itself, step for step, in freshly forked workers."""

from __future__ import annotations

from collections.abc import Sequence

from harness.control.testbed.testbed import Testbed
from harness.errors import Diverged, HarnessError
from harness.result import Execution
from harness.schedulers.replay import Replay
from harness.values.history import Step
from harness.values.schedule import Schedule

__all__ = ["Unconfirmed", "confirm", "replay_once", "replaying"]


class Unconfirmed(HarnessError):
    """A failure was seen that does not repeat itself under the same schedule."""


def replaying(schedule: Schedule, steps: Sequence[Step]) -> Replay:
    """Return the scheduler that makes the choices of *steps* again and compares every one."""
    return Replay(schedule, [step.digest for step in steps], moments=[step.now for step in steps])


def replay_once(stage: Testbed, recorded: Execution) -> Execution:
    """Run the schedule of *recorded* again and compare every step; raises ``Diverged`` at the first difference."""
    scheduler = replaying(recorded.schedule, recorded.steps)
    execution = stage.driver.run(scheduler, recorded.workload)
    scheduler.compare(execution.steps)
    if len(execution.steps) < len(recorded.steps):
        number = len(execution.steps)
        raise Diverged(number, recorded.steps[number].digest, execution.stuck or "the execution has ended")
    return execution


def confirm(stage: Testbed, failed: Execution) -> Execution:
    """Repeat the execution *failed* in fresh processes and return the repetition.

    Raises ``Unconfirmed`` if that departs from the recording, passes, or fails in another way.
    """
    assert failed.failure is not None
    with stage.isolated():
        try:
            again = replay_once(stage, failed)
        except Diverged as error:
            raise Unconfirmed(
                f"An execution failed ({failed.failure}), but does not repeat itself in fresh processes, so nothing "
                f"is claimed. {error}"
            ) from error
    if again.failure is None or again.failure.sort != failed.failure.sort:
        raise Unconfirmed(
            f"An execution failed ({failed.failure}), but the same schedule in fresh processes "
            f"{'passes' if again.failure is None else f'fails otherwise ({again.failure})'}. Usual cause: state that "
            "outlives an execution in a module of the code under test, where processes are not fresh ones (isolation='fork')."
        )
    return again
