"""Restarts a run in fresh processes when executions do not repeat themselves in processes that have run others."""

from __future__ import annotations

from dataclasses import replace

from harness.control.repeating.confirm import Unconfirmed, replay_once
from harness.control.tally import Tally
from harness.control.testbed.testbed import Testbed
from harness.result import Execution

__all__ = ["EarlyCheck", "begun_anew", "first_sentence"]

_LEAST = 4
"""Executions in fresh processes get at least the budget divided by this, even if less was left."""

_CHECKED = 2
"""The number of the first execution that can be checked: number 1 runs in processes that are still fresh."""


class EarlyCheck:
    """Repeats one early execution in fresh processes.

    So a run whose executions depend on used processes is noticed before its budget is spent.
    """

    def __init__(self, stage: Testbed) -> None:
        self._stage, self._done = stage, stage.driver.isolated

    def __call__(self, execution: Execution, number: int) -> None:
        """Check *execution*, the *number*-th of the run, if none has been checked yet.

        The first suitable one counts, from the second execution of the run on. Raises ``Diverged`` if it takes other
        steps in fresh processes. One that failed or is stuck is not repeated here: a failure is confirmed elsewhere.
        """
        if self._done or number < _CHECKED or execution.abandoned or execution.bounded:
            return
        self._done = True
        if execution.failure is None and not execution.stuck:
            with self._stage.isolated():
                replay_once(self._stage, execution)


def begun_anew(tally: Tally, why: str) -> Tally:
    """Return the tally with which a run begins anew in fresh processes; *tally* is the one until now, *why* the reason.

    Only the time and the numbers of executions and steps are carried over: every other claim of the run rests on
    executions in fresh processes. At least a quarter of the budget is granted for those.
    """
    budget = tally.budget
    most = max(budget.executions, tally.executions + max(1, budget.executions // _LEAST))
    seconds = budget.seconds
    if seconds is not None:
        seconds = max(seconds - tally.seconds, seconds / _LEAST)
    again = Tally(
        tally.scenario,
        replace(budget, executions=most, seconds=seconds),
        tally.progress,
        executions=tally.executions,
        steps=tally.steps,
        abandoned=tally.abandoned,
        earlier=tally.earlier + tally.seconds,
    )
    failed = tally.failed.failure if tally.failed is not None else None
    seen = f" One had failed there ({failed})." if failed is not None else ""
    executions = "one execution" if tally.executions == 1 else f"{tally.executions} executions"
    again.anew = (
        f"After {executions} the run began anew, with fresh processes for each execution (isolation 'fork'), "
        f"because in processes that had run others before they did not repeat themselves.{seen} {why}"
    )
    return again


def first_sentence(error: Exception) -> str:
    """Return the text of *error* without its "Usual causes": the run itself now does as they advise."""
    text = str(error.__cause__ if isinstance(error, Unconfirmed) and error.__cause__ is not None else error)
    return " ".join(text.partition("\nUsual causes")[0].split())
