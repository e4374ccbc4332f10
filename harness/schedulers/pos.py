"""Partial-order sampling: a random priority for each operation, drawn anew after each conflict with another operation.

Yuan, Yang and Gu, "Partial order aware concurrency sampling" (CAV 2018). The operation with the highest priority runs;
operations that conflict with it get new priorities, so that the order of each pair of conflicting operations is sampled
by itself. The footprint of an operation is not known before it has run. So it is taken to be that of the same operation
earlier in this run; an operation never seen before conflicts with every other one.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from harness.result import Execution
from harness.schedulers.base import Option, View
from harness.schedulers.random_faults import RandomFaults
from harness.schedulers.tree.dependence import depend
from harness.values.history import Access, Step

__all__ = ["POS"]


class POS:
    """Chooses by random priorities, as described above; ``RandomFaults`` decides when faults come."""

    name = "pos"

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count = 0
        self._random = random.Random()
        self._faults = RandomFaults(self._random)
        self._priorities: dict[tuple[str, str], float] = {}
        self._touched: dict[str, tuple[Access, ...]] = {}
        self._seen = 0

    def start(self, previous: Execution | None) -> bool:
        """Begin the next execution, with a random stream of its own; there is always another one."""
        if previous is not None:
            # ``choose`` notes footprints too, but with several jobs it runs in other processes, whose notes are lost.
            self._touched.update((f"{step.kind} {step.text}", step.accesses) for step in previous.steps)
        self._random.seed(f"{self._seed}/{self._count}")
        self._count += 1
        self._priorities, self._seen = {}, 0
        self._faults.start(len(previous.steps) if previous is not None else 0)
        return True

    def choose(self, view: View) -> str | None:
        """Return the choice of the operation with the highest priority, or of a fault that is due."""
        if (fault := self._faults.due(view)) is not None:
            return fault
        options: Sequence[Option] = view.options
        if options[-1].fault:
            options = [option for option in options if not option.fault]
        new = view.steps[self._seen :]
        self._seen = len(view.steps)
        for step in new:
            self._note(step, options)
        if len(options) == 1:
            return options[0].choice
        return max(options, key=self._priority).choice

    def _priority(self, option: Option) -> float:
        """Return the priority of *option*, drawn when it was first seen, or after its last conflict."""
        key = option.choice, option.operation
        if key not in self._priorities:
            self._priorities[key] = self._random.random()
        return self._priorities[key]

    def _note(self, step: Step, options: Sequence[Option]) -> None:
        operation = f"{step.kind} {step.text}"
        self._touched[operation] = step.accesses
        self._priorities.pop((step.choice, operation), None)
        for option in options:
            known = self._touched.get(option.operation)
            if known is None or depend(known, step.accesses):
                self._priorities.pop((option.choice, option.operation), None)
