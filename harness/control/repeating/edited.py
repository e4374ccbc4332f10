"""Runs a schedule that somebody edited by hand, and names the first choice that can't be made."""

from __future__ import annotations

from harness.control.testbed.testbed import open_testbed
from harness.errors import BadInput
from harness.result import Execution
from harness.saved.counterexample import Counterexample
from harness.scenario import Scenario
from harness.schedulers.base import PASS, View, by_default
from harness.values.redaction import redacted
from harness.values.schedule import Schedule

__all__ = ["make"]


class _Written:
    """A scheduler that makes the choices of a schedule, and after its end the default ones."""

    name = "written"

    def __init__(self, schedule: Schedule) -> None:
        self._choices = schedule.choices

    def start(self, previous: Execution | None) -> bool:
        """Run once."""
        return previous is None

    def choose(self, view: View) -> str | None:
        """Return the choice for this step; raises ``BadInput`` if the schedule's is not possible."""
        number = len(view.steps)
        if number >= len(self._choices):
            return by_default(view)
        wanted = self._choices[number]
        if any(option.choice == wanted for option in view.options) or wanted in view.waiting:
            return wanted
        for option in view.options:
            # The wanted choice may only be possible once time has passed, or after a lock was asked for again.
            if option == PASS or (option.retries and len(view.options) == 1):
                return option.choice
        possible = ", ".join(option.choice for option in view.options)
        raise BadInput(
            f"The schedule can't be made: its choice number {number}, {wanted!r}, is not possible there. What is: {possible}."
        )


def make(scenario: Scenario, counterexample: Counterexample, schedule: Schedule, *, patience: float = 5.0) -> Execution:
    """Run the workload of *counterexample* under *schedule*, with default choices after its end.

    Raises ``BadInput`` for a choice that can't be made, naming it and the possible ones, and the errors of ``open_testbed``.
    """
    scenario = counterexample.staged(scenario).allowing(schedule)
    with open_testbed(
        scenario, counterexample.workers, seed=counterexample.seed, isolation="fork", patience=patience
    ) as stage:
        execution = stage.driver.run(_Written(schedule), counterexample.workload)
    return redacted(execution, scenario.secrets)[0]
