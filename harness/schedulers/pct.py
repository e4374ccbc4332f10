"""Probabilistic concurrency testing: random priorities, lowered at a few random steps.

Burckhardt, Kothari, Musuvathi and Nagarakatte, "A randomized scheduler with probabilistic guarantees of finding bugs"
(ASPLOS 2010): in a program with n tasks and k steps, one execution finds a bug of depth d (one that d ordering
constraints make certain) with probability at least 1 / (n * k ** (d - 1)), however many interleavings there are.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Mapping

from harness.result import Execution, fault_count
from harness.schedulers.base import SearchReport, View
from harness.schedulers.random_faults import RandomFaults
from harness.values.names import Choice

__all__ = ["PCT", "chance", "survival"]

_FIRST_LENGTH = 20
"""The assumed number of steps of an execution, until one was seen."""

_LONG = 1_000
"""Unlimited look-ahead: more steps than any execution has."""


def chance(tasks: int, steps: int, depth: int) -> float:
    """Return a lower bound for the probability that one execution finds a bug of that *depth*."""
    return 1.0 / (max(tasks, 1) * float(max(steps, 1)) ** (depth - 1))


def survival(tasks: int, steps: int, depth: int, *, made: Mapping[int, int]) -> float:
    """Return an upper bound for the probability that a bug of that *depth* has escaped all executions in *made*.

    *made* counts executions of PCT by their own depth, D. Each one with D of at least *depth* (d) finds the bug with a
    probability of at least 1 / (n * k ** (D - 1)): a bug that d constraints make certain, D constraints make certain
    too. No more is claimed for a larger D, because priorities that are lowered more often than d asks for may undo a
    right order.
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
    """Runs the task with the highest priority; at *depth* - 1 random steps, this task gets the lowest priority.

    With *depth* 0, the executions have depths 1, 2 and 3 in turns; ``depth`` is that of the current execution.
    Priorities are drawn as tasks appear. ``RandomFaults`` decides when faults come: they are no part of the guarantee.
    ``tasks`` and ``length`` are the largest numbers of tasks and steps seen; change points are drawn from ``length``.

    ``pct`` counts, by depth, the executions that ``start`` was told of and for which the guarantee holds: no fault was
    injected, the execution was not cut short, and (for depths above 1) it was not longer than the length its change
    points were drawn from.
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
        self._faults = RandomFaults(self._random)
        self.pct: dict[int, int] = {}

    def report(self) -> SearchReport:
        """Return the number of executions for which the guarantee holds, by depth."""
        return SearchReport(pct=self.pct)

    def start(self, previous: Execution | None) -> bool:
        """Begin the next execution, with a random stream of its own; there is always another one."""
        if previous is not None:
            self._hear(previous)
        self._random.seed(f"{self._seed}/{self._count}")
        self.depth = self._fixed or self._count % 3 + 1
        self._count += 1
        self._priorities = {}
        self._drawn.append((self.depth, self.length))
        self._changes = sorted((self._random.randrange(self.length) for _ in range(self.depth - 1)), reverse=True)
        self._faults.start(len(previous.steps) if previous is not None else 0)
        return True

    def _hear(self, made: Execution) -> None:
        """Learn from *made*, the earliest execution begun that the scheduler was not told of yet."""
        depth, drawn_over = self._drawn.popleft() if self._drawn else (0, 0)
        whole = not (made.abandoned or made.bounded or made.stuck or fault_count(made.steps))
        if depth and whole and (depth == 1 or len(made.steps) <= drawn_over):
            self.pct[depth] = self.pct.get(depth, 0) + 1
        self.length = max(self.length if self._measured else 1, len(made.steps))
        self.tasks = max(self.tasks, len({step.lane for step in made.steps if step.lane}))
        self._measured = True

    def choose(self, view: View) -> str | None:
        """Return the option of the task with the highest priority, after lowering priorities at change points."""
        if (fault := self._faults.due(view)) is not None:
            if Choice(fault).is_delay:
                # Put the tasks that could run behind all others: a delayed task that ran next would be delayed in vain.
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
            # Tasks lowered later end up above those lowered earlier, as in the paper, and all below the other tasks.
            self._priorities[first.lane] = 1.0 / (1 + len(self._changes))
            self._changes.pop()
        highest = max(self._priorities[option.lane] for option in options)
        best = [option for option in options if self._priorities[option.lane] == highest]
        return (best[0] if len(best) == 1 else self._random.choice(best)).choice

    def ahead(self, view: View) -> int:
        """Return how many steps are left before the next change point or the next fault."""
        change = self._changes[-1] - len(view.steps) - 1 if self._changes else _LONG
        return max(min(change, self._faults.quiet(view)), 0)
