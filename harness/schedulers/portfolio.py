"""Several schedulers in turns: first only the exhaustive search, cheapest interleavings first; then samples in between.

No single strategy finds every race in few executions (Wolff, Shi, Duck, Mathur and Roychoudhury, "Greybox fuzzing for
concurrency testing", ASPLOS 2024, compare several over 59 programs). An exhaustive search finds races that take few
preemptions and faults, and it can end; samples find races that take many.
"""

from __future__ import annotations

from dataclasses import replace

from harness.result import Execution
from harness.schedulers.base import Scheduler, SearchReport, View
from harness.schedulers.greybox import Greybox
from harness.schedulers.pct import PCT
from harness.schedulers.pos import POS
from harness.schedulers.random_walk import RandomWalk
from harness.schedulers.tree.exhaustive import Exhaustive
from harness.schedulers.tree.stateful import Stateful

__all__ = ["Portfolio"]

_ALONE, _LONGEST_ALONE = 60, 480
"""How many executions the exhaustive search has before the first sample; and at most, if it is near its end."""

_NEAR = 0.25
"""The part of the tree from which on a search is near its end: it is likely to need only a few times as long in all."""


class Portfolio:
    """The exhaustive search, cheapest first; after 60 executions, every other one goes to a sampler.

    If a good part of the tree is seen by then, the samplers wait, because the rest of the tree is soon covered in full.
    The samplers take turns too: POS, the random walk, PCT with depths 1, 2 and 3, and a greybox search that learns from
    all executions. The portfolio ends when the exhaustive search has covered everything; its report is complete then.
    """

    name = "portfolio"

    def __init__(self, seed: int) -> None:
        self._exhaustive = Stateful()
        self.greybox, self._pct = Greybox(seed), PCT(seed, 0)
        self.samplers: tuple[Scheduler, ...] = (POS(seed), RandomWalk(seed), self._pct, self.greybox)
        self._members: tuple[Scheduler, ...] = (self._exhaustive, *self.samplers)
        self._last: dict[int, Execution | None] = dict.fromkeys(range(len(self._members)))
        self._now = 0
        self._count = 0
        self._searching = True
        self._alone = _ALONE

    def __repr__(self) -> str:
        return f"<Portfolio {self._members[self._now].name}>"

    @property
    def wants_states(self) -> bool:
        """Whether the exhaustive search has its turn and needs the state of each decision."""
        return self._now == 0 and self._exhaustive.wants_states

    @property
    def pct(self) -> dict[int, int]:
        """The number of PCT's executions for which its guarantee holds, by depth."""
        return self._pct.pct

    def report(self) -> SearchReport:
        """Return the report of the exhaustive search, with the executions for which PCT's guarantee holds."""
        return replace(self._exhaustive.report(), pct=self.pct)

    def start(self, previous: Execution | None) -> bool:
        """Begin an execution with the next scheduler; return False if the exhaustive search is complete."""
        if previous is not None:
            self._last[self._now] = previous
            if self._members[self._now] is not self.greybox:
                self.greybox.learn(previous)
        self.reconsider(self._count, self._exhaustive)
        self._now = self.turn(self._count, searching=self._searching)
        if self._now == 0:
            if self._exhaustive.start(self._last[0]):
                self._count += 1
                return True
            if self._exhaustive.complete:
                return False
            self._searching = False
            self._now = self.turn(self._count, searching=False)
        member = self._members[self._now]
        member.start(self._last[self._now])
        self._count += 1
        return True

    def reconsider(self, count: int, search: Exhaustive) -> None:
        """Double the number of executions without samples if *count* has reached it and *search* is near its end."""
        if count == self._alone < _LONGEST_ALONE and search.seen >= _NEAR:
            self._alone *= 2

    def alone(self, count: int) -> bool:
        """Return whether execution number *count* comes before the first sample."""
        return count < self._alone

    def turn(self, count: int, *, searching: bool) -> int:
        """Return the turn of execution number *count*: 0 for the exhaustive search, else a sampler's number from 1."""
        if searching and (self.alone(count) or count % 2 == 0):
            return 0
        return 1 + count // (2 if searching else 1) % len(self.samplers)

    def choose(self, view: View) -> str | None:
        """Return the choice of the current scheduler."""
        return self._members[self._now].choose(view)

    def ahead(self, view: View) -> int:
        """Return the look-ahead of the current scheduler, 0 if it has none."""
        look = getattr(self._members[self._now], "ahead", None)
        return look(view) if look is not None else 0
