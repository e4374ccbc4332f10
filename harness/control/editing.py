"""Makes choices that somebody wrote by hand, as far as they go, and says where they can't be made."""

from __future__ import annotations

from harness.control.theatre import theatre
from harness.counterexample import Counterexample
from harness.errors import BadInput
from harness.redaction import redacted
from harness.result import Execution
from harness.scenario import Scenario
from harness.schedule import Schedule
from harness.schedulers.base import PASS, View, by_default

__all__ = ["make"]


class _Written:
    """Makes the choices of a schedule, then goes on by default; refuses one that can't be made."""

    name = "written"

    def __init__(self, schedule: Schedule) -> None:
        self._choices = schedule.choices

    def start(self, previous: Execution | None) -> bool:
        """Run once."""
        return previous is None

    def choose(self, view: View) -> str | None:
        """Return the choice for this step."""
        number = len(view.steps)
        if number >= len(self._choices):
            return by_default(view)
        wanted = self._choices[number]
        if any(option.choice == wanted for option in view.options) or wanted in view.waiting:
            return wanted
        for option in view.options:
            # Time must pass, or a lock be asked for again, before anything else can be done.
            if option == PASS or (option.retries and len(view.options) == 1):
                return option.choice
        possible = ", ".join(option.choice for option in view.options)
        raise BadInput(
            f"The schedule can't be made: its choice number {number}, {wanted!r}, is not possible there. What is: {possible}."
        )


def make(scenario: Scenario, counterexample: Counterexample, schedule: Schedule, *, patience: float = 5.0) -> Execution:
    """Run the workload of *counterexample* under *schedule*, and by default after its end.

    Raises ``BadInput`` for a choice that can't be made, naming it and what could; and as ``theatre`` does.
    """
    scenario = counterexample.staged(scenario).allowing(schedule)
    with theatre(
        scenario, counterexample.workers, seed=counterexample.seed, isolation="fork", patience=patience
    ) as stage:
        execution = stage.driver.run(_Written(schedule), counterexample.workload)
    return redacted(execution, scenario.secrets)[0]
