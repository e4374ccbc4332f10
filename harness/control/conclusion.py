"""Concludes a search: confirms, shrinks and explains a failure; without one, repeats a random walk."""

from __future__ import annotations

from dataclasses import replace

from harness.control.repeating.confirm import Unconfirmed, confirm, replay_once
from harness.control.repeating.neighbours import explain
from harness.control.repeating.shrink import shrink
from harness.control.tally import Tally
from harness.control.testbed.testbed import Testbed
from harness.errors import HarnessError
from harness.result import Execution, Result
from harness.schedulers.random_walk import RandomWalk

__all__ = ["explained", "minimal", "recheck"]


def minimal(stage: Testbed, failed: Execution, tally: Tally) -> Execution:
    """Return the smallest execution found that fails like *failed*; both are confirmed in fresh processes."""
    tally.report("confirming")
    confirmed = confirm(stage, failed)
    tally.report("shrinking")
    smallest, tried = shrink(stage.driver, failed)
    tally.shrinking += tried
    try:
        return confirm(stage, smallest)
    except Unconfirmed:
        # The failure that was found first has repeated itself, so it stands.
        return confirmed


def explained(stage: Testbed, result: Result, found: Execution, *, tally: Tally) -> Result:
    """Return *result* with an explanation of why *found* fails.

    If explaining raises an error, the failure stands, and ``unexplained`` has the error's text.
    """
    tally.report("explaining")
    try:
        explanation = explain(stage.driver, found, executions=tally.executions, failures=tally.failures)
    except HarnessError as error:
        return replace(result, unexplained=str(error))
    return replace(result, explanation=explanation)


def recheck(stage: Testbed, tally: Tally) -> None:
    """Run one more random walk, and repeat it in fresh processes; raises ``Diverged`` if that differs.

    If the walk itself fails or can't be judged, it is counted like any other execution instead.
    """
    walk = RandomWalk(stage.driver.seed)
    walk.start(None)
    first = stage.driver.run(walk, tally.scenario.workload(stage.driver.worker_pool.size))
    if first.failure is not None or first.stuck:
        tally.count(first)
        return
    with stage.isolated():
        replay_once(stage, first)
