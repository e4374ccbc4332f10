"""Re-executes a counterexample, and reads the tables whenever a step may have changed them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.control.repeating.confirm import replaying
from harness.control.testbed.shared_files import SharedState
from harness.control.testbed.testbed import Testbed, open_testbed
from harness.errors import Diverged, HarnessError
from harness.result import Execution
from harness.saved.counterexample import Counterexample
from harness.scenario import Scenario
from harness.schedulers.base import View
from harness.schedulers.wrappers.base import Wrapper
from harness.values.redaction import redacted
from harness.values.tables import Changed, Tables, TablesAt, compare

__all__ = ["Recorded", "record_tables", "tables_now"]


@dataclass(frozen=True, slots=True)
class Recorded:
    """The changes that the steps of one execution made to the tables; if unknown, ``why_not`` says why."""

    tables: tuple[TablesAt, ...] = ()
    why_not: str = ""


def record_tables(scenario: Scenario, counterexample: Counterexample, *, patience: float = 5.0) -> Recorded:
    """Replay *counterexample*, and return the changes that its steps made to the tables.

    It is replayed twice: a secret that clients are told only at the end must be hidden in the tables from the
    beginning. If a replay departs from the recording, or can't be made, the result has no tables but the reason. That
    is no error, for the counterexample is evidence without them.
    """
    scenario = counterexample.staged(scenario).allowing(counterexample.schedule)
    try:
        with open_testbed(scenario, counterexample.workers, seed=counterexample.seed, patience=patience) as stage:
            execution = _again(stage, counterexample)
            watch = _Watch(stage.driver.world, redacted(execution, scenario.secrets)[1])
            stage.driver.watch = watch
            execution = _again(stage, counterexample)
    except HarnessError as error:
        return Recorded(why_not=_first_line(error))
    if why_not := _departs(execution, counterexample):
        return Recorded(why_not=why_not)
    return Recorded(tuple(watch.found))


def _again(stage: Testbed, counterexample: Counterexample) -> Execution:
    scheduler = replaying(counterexample.schedule, counterexample.steps)
    execution = stage.driver.run(_StepByStep(scheduler), counterexample.workload)
    scheduler.compare(execution.steps)
    return execution


def tables_now(world: SharedState, clean: Callable[[str], str]) -> tuple[Changed, ...]:
    """Return the committed content of the tables now, with every text passed through *clean*."""
    return compare({}, world.tables(world.snapshot()), clean)


def _departs(execution: Execution, counterexample: Counterexample) -> str:
    """Return how *execution* differs from the recorded one; an empty string if it does not."""
    if execution.stuck:
        return _first_line(execution.stuck)
    if (number := len(execution.steps)) < len(counterexample.steps):
        return _first_line(Diverged(number, counterexample.steps[number].digest, "the execution has ended"))
    if execution.failure is None:
        return "The replay takes the same steps, but no longer fails."
    if execution.failure.sort != counterexample.failure.sort:
        return f"The replay takes the same steps, but fails otherwise: {execution.failure}"
    return ""


def _first_line(error: object) -> str:
    return str(error).partition("\n")[0]


class _Watch:
    """Records how the tables after a step differ from those at the look before."""

    def __init__(self, world: SharedState, redact: Callable[[str], str]) -> None:
        self.found: list[TablesAt] = []
        self._world, self._redact = world, redact
        self._files: dict[str, bytes] = {}
        self._tables: Tables = {}

    def __call__(self, step: int) -> None:
        """Look at the shared state after *step*; -1 is the beginning."""
        files = self._world.snapshot()
        if files == self._files:
            return
        tables = self._world.tables(files)
        if step >= 0 and (changed := compare(self._tables, tables, self._redact)):
            self.found.append(TablesAt(step, changed))
        self._files, self._tables = files, tables


class _StepByStep(Wrapper):
    """Forbids looking ahead, so that the tables can be read after each step, before the next."""

    def ahead(self, view: View) -> int:
        """Return 0: no worker passes a schedule point without asking."""
        return 0
