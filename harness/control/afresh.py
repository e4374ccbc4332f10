"""What a run does when executions do not repeat themselves in processes that have run others: it begins anew in fresh ones."""

from __future__ import annotations

from dataclasses import replace

from harness.control.confirm import Unconfirmed, replay_once
from harness.control.tally import Tally
from harness.control.theatre import Theatre
from harness.result import Execution

__all__ = ["EarlyCheck", "begun_anew", "first_sentence"]

_LEAST = 4
"""The executions in fresh processes get this part of the budget (one in so many) where less was left."""

_CHECKED = 2
"""The execution that is checked: the first is in processes that have run none before."""


class EarlyCheck:
    """Repeats an early execution in fresh processes: what departs there is known before the budget is spent."""

    def __init__(self, stage: Theatre) -> None:
        self._stage, self._done = stage, stage.driver.isolated

    def __call__(self, execution: Execution, number: int) -> None:
        """Take notice of execution *number*; raises ``Diverged`` where it is the one and fresh processes do something else."""
        if self._done or number < _CHECKED or execution.abandoned or execution.bounded:
            return
        self._done = True
        if execution.failure is None and not execution.stuck:
            with self._stage.isolated():
                replay_once(self._stage, execution)


def begun_anew(tally: Tally, why: str) -> Tally:
    """Return the tally of a run that begins anew, in fresh processes, after what *tally* counts, as *why* says.

    Only the numbers of executions and steps are kept: whatever else is claimed rests on what was run in fresh processes.
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
    """Return what *error* says, without the usual causes: the run itself does what they would have people try."""
    text = str(error.__cause__ if isinstance(error, Unconfirmed) and error.__cause__ is not None else error)
    return " ".join(text.partition("\nUsual causes")[0].split())
