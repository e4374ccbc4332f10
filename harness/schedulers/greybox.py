"""Greybox search: varies executions that showed something new.

The idea is that of fuzzers, and of Wolff, Shi, Duck, Mathur and Roychoudhury, "Greybox fuzzing for concurrency testing"
(ASPLOS 2024). An execution shows something new if it has a pair of conflicting operations in an order not seen before.
A variation follows such an execution up to a random step, makes another choice there (another task, or a fault), and
then returns to the recorded order, or continues at random.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from harness.coverage.pairs import Pair, orders
from harness.result import Execution
from harness.schedulers.base import View, by_default
from harness.schedulers.random_faults import possible_faults

__all__ = ["Greybox"]

_MOST = 200
"""How many executions are kept: the latest ones."""

_AT_RANDOM, _FAULT = 0.3, 0.3
"""The probability that choices after the deviation are random; the probability that it is a fault, if possible."""


class Greybox:
    """Varies executions that showed something new. ``learn`` takes executions of its own and of other schedulers."""

    name = "greybox"

    def __init__(self, seed: int) -> None:
        self._seed, self._count = seed, 0
        self._random = random.Random()
        self._corpus: list[tuple[str, ...]] = []
        self._seen: set[Pair] = set()
        self._plan: Sequence[str] = ()
        self._turn = 0
        self._next = 0
        self._then_random = False

    def __getstate__(self) -> dict[str, object]:
        """Return the state without the corpus and the pairs seen: a process that only chooses does not need them."""
        return {**self.__dict__, "_corpus": [], "_seen": set()}

    def learn(self, execution: Execution) -> None:
        """Keep *execution* if it showed something new."""
        shown = orders(execution)
        if execution.abandoned or execution.bounded or shown <= self._seen:
            return
        self._seen |= shown
        self._corpus.append(tuple(step.choice for step in execution.steps if not step.waited))
        del self._corpus[:-_MOST]

    def start(self, previous: Execution | None) -> bool:
        """Begin the next variation; there is always another one."""
        if previous is not None:
            self.learn(previous)
        self._random.seed(f"{self._seed}/{self._count}")
        self._count += 1
        self._plan = self._random.choice(self._corpus) if self._corpus else ()
        self._turn = self._random.randrange(len(self._plan) + 1)
        self._next = 0
        self._then_random = not self._plan or self._random.random() < _AT_RANDOM
        return True

    def choose(self, view: View) -> str | None:
        """Follow the plan up to the deviation, deviate, and then follow the rest of the plan or choose at random."""
        runnable = [option.choice for option in view.options if not option.fault]
        if self._turn == 0:
            self._turn = -1
            return self._elsewhere(view, runnable)
        if self._turn < 0 and self._then_random and runnable:
            return self._random.choice(runnable)
        self._turn -= 1
        possible = {option.choice for option in view.options}
        while self._next < len(self._plan):
            choice = self._plan[self._next]
            if choice in possible:
                self._next += 1
                return choice
            if choice not in self._plan[self._next + 1 :]:
                self._next += 1
                continue
            break
        return by_default(view)

    def _elsewhere(self, view: View, runnable: list[str]) -> str:
        faults = [option.choice for option in possible_faults(view.options)]
        planned = self._plan[self._next] if self._next < len(self._plan) else ""
        others = [choice for choice in runnable if choice != planned] or runnable
        if faults and (not others or self._random.random() < _FAULT):
            return self._random.choice(faults)
        return self._random.choice(others)
