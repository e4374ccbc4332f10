"""Counts what a scheduler decides."""

from __future__ import annotations

from typing import NamedTuple

from harness.result import Execution, fault_count
from harness.schedulers.base import Scheduler, View
from harness.schedulers.wrappers.base import Wrapper

__all__ = ["Decided", "Statistics"]


class Decided(NamedTuple):
    """One execution: how often the scheduler was asked, among how many options in all, and what became of it."""

    choices: int
    options: int
    steps: int
    preemptions: int
    faults: int

    @property
    def branching(self) -> float:
        """Options per choice."""
        return self.options / self.choices if self.choices else 0.0


class Statistics(Wrapper):
    """``executions`` has an entry for each execution of *inner* that ``start`` was told of."""

    def __init__(self, inner: Scheduler) -> None:
        super().__init__(inner)
        self.executions: list[Decided] = []
        self._choices = self._options = 0

    def start(self, previous: Execution | None) -> bool:
        """Note what the execution before came to."""
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
        """All executions together."""
        return Decided(*(sum(column) for column in zip(*self.executions, strict=True))) if self.executions else _NONE


_NONE = Decided(0, 0, 0, 0, 0)
