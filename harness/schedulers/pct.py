"""Probabilistic concurrency testing: random priorities, lowered at a few random steps.

Burckhardt, Kothari, Musuvathi and Nagarakatte, "A randomized scheduler with probabilistic guarantees of finding bugs"
(ASPLOS 2010): of a program with n tasks and k steps, one execution finds a bug of depth d (one that d ordering
constraints make sure of) with a probability of at least 1 / (n * k ** (d - 1)), however many interleavings there are.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Mapping

from harness.result import Execution, fault_count
from harness.schedule import DELAY
from harness.schedulers.base import View
from harness.schedulers.storm import Storm

__all__ = ["PCT", "chance", "survival"]

_FIRST_LENGTH = 20
"""Steps that an execution is taken to have before one was seen."""

_LONG = 1_000
"""Steps that are as good as all."""


def chance(tasks: int, steps: int, depth: int) -> float:
    """Return the least probability with which one execution finds a bug of that *depth*."""
    return 1.0 / (max(tasks, 1) * float(max(steps, 1)) ** (depth - 1))


def survival(tasks: int, steps: int, depth: int, made: Mapping[int, int]) -> float:
    """Return the greatest probability with which a bug of that *depth* can have escaped all executions that were *made*.

    *made* counts executions of PCT by their own depth, D. Each with D of at least *depth* finds the bug with a chance of
    1 / (n * k ** (D - 1)) or more: what d constraints make sure of, D do too. Priorities that are lowered more often than
    *depth* asks for may spoil what was right, so no more is claimed of them.
    """
    left = 0.0
    for own, times in made.items():
        if own < depth or not times:
            continue
        if (found := chance(tasks, steps, own)) >= 1.0:
            return 0.0
        left += times * math.log1p(-found)
    return math.exp(left)


class PCT:
    """Lets the task with the highest priority go; at *depth* - 1 random steps the one that would go gets the lowest.

    With *depth* 0 the executions take turns with depths 1, 2 and 3; the depth of the one under way is ``depth``.
    Priorities are drawn as tasks appear. Faults come as a ``Storm`` has them: that is no part of the guarantee.
    ``tasks`` and ``length`` are the most tasks and steps that were seen, from which change points are drawn.

    ``pct`` counts by depth the executions for which the guarantee holds, as far as it was told of them: no fault came, none was
    cut short, and none was longer than what its change points were drawn over.
    """

    name = "pct"

    def __init__(self, seed: int, depth: int = 3) -> None:
        self._seed, self._fixed = seed, depth
        self._count = 0
        self._random = random.Random()
        self.depth = depth
        self.tasks, self.length = 1, _FIRST_LENGTH
        self._drawn: deque[tuple[int, int]] = deque()
        self._measured = False
        self._priorities: dict[str, float] = {}
        self._changes: list[int] = []
        self._storm = Storm(self._random)
        self.pct: dict[int, int] = {}

    def start(self, previous: Execution | None) -> bool:
        """Begin the next execution, with a stream of its own; there is always another one."""
        if previous is not None:
            self._hear(previous)
        self._random.seed(f"{self._seed}/{self._count}")
        self.depth = self._fixed or self._count % 3 + 1
        self._count += 1
        self._priorities = {}
        self._drawn.append((self.depth, self.length))
        self._changes = sorted((self._random.randrange(self.length) for _ in range(self.depth - 1)), reverse=True)
        self._storm.start(len(previous.steps) if previous is not None else 0)
        return True

    def _hear(self, made: Execution) -> None:
        """Learn from *made*, the earliest of those begun that it was not told of yet."""
        depth, drawn_over = self._drawn.popleft() if self._drawn else (0, 0)
        whole = not (made.abandoned or made.bounded or made.stuck or fault_count(made.steps))
        if depth and whole and (depth == 1 or len(made.steps) <= drawn_over):
            self.pct[depth] = self.pct.get(depth, 0) + 1
        self.length = max(self.length if self._measured else 1, len(made.steps))
        self.tasks = max(self.tasks, len({step.lane for step in made.steps if step.lane}))
        self._measured = True

    def choose(self, view: View) -> str | None:
        """Return the option of the task with the highest priority, after lowering it if it is time to."""
        if (fault := self._storm.strikes(view)) is not None:
            if fault.startswith(DELAY):
                # Who was held up and then went on at once would have been held up for nothing.
                self._priorities.update({option.lane: 0.0 for option in view.options if not option.fault})
            return fault
        now = len(view.steps)
        options = view.options
        if options[-1].fault:
            options = [option for option in options if not option.fault]
        for option in options:
            if option.lane not in self._priorities:
                self._priorities[option.lane] = 1.0 + self._random.random()
        while self._changes and now >= self._changes[-1]:
            first = max(options, key=lambda option: self._priorities[option.lane])
            # Those lowered later end up above those lowered before, as in the paper, and all below the others.
            self._priorities[first.lane] = 1.0 / (1 + len(self._changes))
            self._changes.pop()
        highest = max(self._priorities[option.lane] for option in options)
        best = [option for option in options if self._priorities[option.lane] == highest]
        return (best[0] if len(best) == 1 else self._random.choice(best)).choice

    def ahead(self, view: View) -> int:
        """Return how many steps are left to the next change of a priority, or the next fault."""
        change = self._changes[-1] - len(view.steps) - 1 if self._changes else _LONG
        return max(min(change, self._storm.quiet(view)), 0)
