"""Counts the decisions of a scheduler."""

from __future__ import annotations

from typing import NamedTuple

from harness.result import Execution, fault_count
from harness.schedulers.base import Scheduler, View
from harness.schedulers.wrappers.base import Wrapper

__all__ = ["Decided", "Statistics"]


class Decided(NamedTuple):
    """Numbers of one execution: decisions, options at all of them together, steps, preemptions and faults."""

    choices: int
    options: int
    steps: int
    preemptions: int
    faults: int

    @property
    def branching(self) -> float:
        """Options per decision."""
        return self.options / self.choices if self.choices else 0.0


class Statistics(Wrapper):
    """Counts decisions: ``executions`` has an entry for each execution of *inner* that ``start`` was told of."""

    def __init__(self, inner: Scheduler) -> None:
        super().__init__(inner)
        self.executions: list[Decided] = []
        self._choices = self._options = 0

    def start(self, previous: Execution | None) -> bool:
        """Record the numbers of *previous*; return whether the wrapped scheduler has another execution."""
        if previous is not None:
            steps = previous.steps
            self.executions.append(
                Decided(self._choices, self._options, len(steps), previous.preemptions, fault_count(steps))
            )
        self._choices = self._options = 0
        return self._inner.start(previous)

    def choose(self, view: View) -> str | None:
        """Count the options and choose as the wrapped scheduler does."""
        self._choices += 1
        self._options += len(view.options)
        return self._inner.choose(view)

    @property
    def total(self) -> Decided:
        """The sums over all executions."""
        return Decided(*(sum(column) for column in zip(*self.executions, strict=True))) if self.executions else _NONE


_NONE = Decided(0, 0, 0, 0, 0)
