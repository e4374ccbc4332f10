"""The uniform random walk: each option is equally likely at each decision."""

from __future__ import annotations

import random

from harness.result import Execution
from harness.schedulers.base import View
from harness.schedulers.random_faults import RandomFaults

__all__ = ["RandomWalk"]

_LONG = 1_000
"""Unlimited look-ahead: more steps than any execution has."""


class RandomWalk:
    """Chooses uniformly among the options that are no faults; ``RandomFaults`` decides when faults come."""

    name = "random"

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count = 0
        self._random = random.Random()
        self._faults = RandomFaults(self._random)
        self._turn = (-1, 0)

    def start(self, previous: Execution | None) -> bool:
        """Begin the next execution, with a random stream of its own; there is always another one."""
        self._random.seed(f"{self._seed}/{self._count}")
        self._count += 1
        self._turn = (-1, 0)
        self._faults.start(len(previous.steps) if previous is not None else 0)
        return True

    def choose(self, view: View) -> str | None:
        """Return the choice of a random option, or of a fault that is due."""
        if (fault := self._faults.due(view)) is not None:
            return fault
        options = view.options
        if options[-1].fault:
            options = [option for option in options if not option.fault]
        if self._turn == (len(view.steps), len(options)) and view.could_continue:
            options = options[1:]
        return options[int(self._random.random() * len(options))].choice

    def ahead(self, view: View) -> int:
        """Return how often the walk would continue with the same task before it switches: a geometric random number.

        After that many steps the walk switches to another task. If the options change before, the number is forgotten:
        the walk has no memory.
        """
        size = len(view.options)
        if view.options[-1].fault:
            size = sum(not option.fault for option in view.options)
        quiet = self._faults.quiet(view)
        if size == 1:
            return quiet
        times = 0
        while times < _LONG and self._random.random() * size < 1:
            times += 1
        self._turn = (len(view.steps) + times + 1, size) if times <= quiet else (-1, 0)
        return min(times, quiet)
