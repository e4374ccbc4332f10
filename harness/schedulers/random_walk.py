"""The uniform random walk: each option is equally likely at each decision."""

from __future__ import annotations

import random

from harness.result import Execution
from harness.schedulers.base import View

__all__ = ["RandomWalk"]

_LONG = 1_000
"""Steps that are as good as all."""


class RandomWalk:
    """Chooses uniformly among what can run; a fault is injected with probability *fault_rate* where one may be."""

    name = "random"

    def __init__(self, seed: int, fault_rate: float = 0.1) -> None:
        self._seed, self._fault_rate = seed, fault_rate
        self._count = 0
        self._random = random.Random()
        self._turn = (-1, 0)

    def start(self, previous: Execution | None) -> bool:
        """Begin the next execution, with a stream of its own; there is always another one."""
        self._random.seed(f"{self._seed}/{self._count}")
        self._count += 1
        self._turn = (-1, 0)
        return True

    def choose(self, view: View) -> str | None:
        """Return a random option."""
        options = view.options
        if options[-1].fault:
            faults = [option for option in options if option.fault]
            options = [option for option in options if not option.fault]
            if not options or self._random.random() < self._fault_rate:
                return self._random.choice(faults).choice
        elif self._turn == (len(view.steps), len(options)) and view.could_continue:
            options = options[1:]
        return options[int(self._random.random() * len(options))].choice

    def ahead(self, view: View) -> int:
        """Return how often the walk would go on with the same task before it turns: a geometric number.

        When it is used up the walk turns elsewhere; where the options change before, it is forgotten: the walk
        has no memory.
        """
        size = len(view.options)
        if view.faults_left:
            return 0
        if size == 1:
            return _LONG
        times = 0
        while times < _LONG and self._random.random() * size < 1:
            times += 1
        self._turn = (len(view.steps) + times + 1, size)
        return times
