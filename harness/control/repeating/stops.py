"""Replays an execution with stops between steps, at which the workers can be inspected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.boundary import messages
from harness.boundary.wire import Message
from harness.control.repeating.confirm import replaying
from harness.control.repeating.recording import tables_now
from harness.control.testbed.testbed import Testbed, open_testbed
from harness.result import Execution
from harness.saved.counterexample import Counterexample
from harness.scenario import Scenario
from harness.schedulers.base import View
from harness.schedulers.wrappers.base import Wrapper
from harness.values.history import Step
from harness.values.redaction import is_secret_name, redacted
from harness.values.tables import Changed

__all__ = ["Moment", "walk"]


_SHORTEST = 8
"""A shorter secret is not hidden: it is too likely to be a part of some other text."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A stop in a replay: before step ``number``, or at the end.

    The results of ``frames`` and ``tables`` are without secrets; those of ``seen`` must be passed through ``clean``.
    """

    number: int
    steps: Sequence[Step]
    ended: bool
    clean: Callable[[str], str]
    _stage: Testbed
    _now: float

    def frames(self) -> dict[str, Sequence[Message]]:
        """Return for each worker the frames of its tasks: the task, and file, line, function and variables of each.

        The value of a variable with a name such as ``secret`` is hidden, too, although no client has been told of it
        yet.
        """
        found = self._look("frames")
        held = [
            text.strip("'\"")
            for tasks in found.values()
            for _, frames in tasks
            for *_, variables in frames
            for name, text in variables
            if is_secret_name(name)
        ]
        secrets = [text for text in sorted(held, key=len, reverse=True) if len(text) >= _SHORTEST]

        def hidden(text: str) -> str:
            text = self.clean(text)
            for secret in secrets:
                text = text.replace(secret, "<secret>")
            return text

        return {
            worker: [
                (task, [(*place, [(name, hidden(text)) for name, text in variables]) for *place, variables in frames])
                for task, frames in tasks
            ]
            for worker, tasks in found.items()
        }

    def seen(self) -> dict[str, Sequence[Message]]:
        """Return for each worker the tables as its open connections see them: connection, name, columns, rows."""
        return self._look("tables")

    def debug(self, worker: int, lane: str, terminal: str) -> bool:
        """Debug the task *lane* of *worker* at *terminal*; return afterwards whether there was such a task."""
        news, _ = self._stage.driver.worker_pool.workers[worker].ask(
            messages.look(self._now, f"debug {lane} {terminal}")
        )
        return any(item[0] == "debugged" and item[1] for item in news)

    def tables(self) -> tuple[Changed, ...]:
        """Return the committed content of the tables."""
        return tables_now(self._stage.driver.world, self.clean)

    def _look(self, what: str) -> dict[str, Sequence[Message]]:
        if self.ended:
            return {}
        found: dict[str, Sequence[Message]] = {}
        for worker in self._stage.driver.worker_pool.workers:
            news, _ = worker.ask(messages.look(self._now, what))
            found[f"w{worker.number}"] = [item[1:] for item in news if item[0] in ("frames", "table")]
        return found


Visit = Callable[[Moment], int | None]
"""A function that gets a moment, and returns the number of the step to stop before next, or None to leave."""


class _Leave(Exception):
    def __init__(self, target: int | None) -> None:
        self.target = target


def walk(
    scenario: Scenario, counterexample: Counterexample, visit: Visit, *, start: int = 0, patience: float = 5.0
) -> Execution:
    """Replay *counterexample*, stopping where *visit* says, first before step *start*.

    Returns the execution of a first replay without stops, with its secrets redacted. To go back, the execution is
    replayed from the beginning. Raises ``Diverged`` if a replay departs from the recording, and as ``open_testbed`` does.
    """
    scenario = counterexample.staged(scenario).allowing(counterexample.schedule)
    with open_testbed(scenario, counterexample.workers, seed=counterexample.seed, patience=patience) as stage:
        scheduler = replaying(counterexample.schedule, counterexample.steps)
        whole = stage.driver.run(scheduler, counterexample.workload)
        scheduler.compare(whole.steps)
        whole, clean = redacted(whole, scenario.secrets)
        target: int | None = start
        while target is not None:
            walking = _Walking(
                replaying(counterexample.schedule, counterexample.steps), target, visit, stage=stage, clean=clean
            )
            try:
                execution = stage.driver.run(walking, counterexample.workload)
                target = visit(Moment(len(execution.steps), execution.steps, True, clean, stage, 0.0))
            except _Leave as leave:
                target = leave.target
    return whole


class _Walking(Wrapper):
    """Makes the recorded choices, and stops before a given step."""

    def __init__(
        self, inner: object, target: int, visit: Visit, *, stage: Testbed, clean: Callable[[str], str]
    ) -> None:
        super().__init__(inner)  # type: ignore[arg-type]
        self._target, self._visit, self._stage, self._clean = target, visit, stage, clean

    def choose(self, view: View) -> str | None:
        """Return the recorded choice, after a stop if this is the step to stop before."""
        number = len(view.steps)
        choice = super().choose(view)
        if self._target <= number:
            target = self._visit(Moment(number, view.steps, False, self._clean, self._stage, view.now))
            if target is None or target <= number:
                raise _Leave(target)
            self._target = target
        return choice

    def ahead(self, view: View) -> int:
        """Return 0: no worker passes a schedule point without asking."""
        return 0
