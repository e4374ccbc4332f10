"""Several schedulers in turns: the cheapest interleavings in full first, then samples between further ones.

No single strategy finds every race in few executions (Wolff, Shi, Duck, Mathur and Roychoudhury, "Greybox fuzzing for
concurrency testing", ASPLOS 2024, compare several over 59 programs): an exhaustive search finds what takes few
preemptions and faults, and can end; samples find what takes many.
"""

from __future__ import annotations

from harness.result import Execution
from harness.schedulers.base import Scheduler, View
from harness.schedulers.exhaustive import Exhaustive
from harness.schedulers.greybox import Greybox
from harness.schedulers.pct import PCT
from harness.schedulers.pos import POS
from harness.schedulers.random_walk import RandomWalk

__all__ = ["Portfolio"]

ALONE = 30
"""So many executions go to the exhaustive search before the samplers have a turn."""


class Portfolio:
    """The exhaustive search, cheapest first; from its thirtieth execution on, every other one goes to a sampler.

    The samplers take turns too: POS, the random walk, PCT with depths 1, 2 and 3, and a greybox search that learns from
    all. It ends when the exhaustive search has covered everything, and then is ``complete``.
    """

    name = "portfolio"

    def __init__(self, seed: int) -> None:
        self._exhaustive = Exhaustive()
        self.greybox, self._pct = Greybox(seed), PCT(seed, 0)
        self.samplers: tuple[Scheduler, ...] = (POS(seed), RandomWalk(seed), self._pct, self.greybox)
        self._members: tuple[Scheduler, ...] = (self._exhaustive, *self.samplers)
        self._last: dict[int, Execution | None] = dict.fromkeys(range(len(self._members)))
        self._now = 0
        self._count = 0
        self._searching = True

    def __repr__(self) -> str:
        return f"<Portfolio {self._members[self._now].name}>"

    @property
    def complete(self) -> bool:
        """Whether every interleaving was covered."""
        return self._exhaustive.complete

    @property
    def seen(self) -> float:
        """Which part of the tree was seen, as the exhaustive search estimates it."""
        return self._exhaustive.seen

    @property
    def pct(self) -> dict[int, int]:
        """The executions of PCT for which its guarantee holds, by depth."""
        return self._pct.pct

    def start(self, previous: Execution | None) -> bool:
        """Have the next scheduler begin an execution."""
        if previous is not None:
            self._last[self._now] = previous
            if self._members[self._now] is not self.greybox:
                self.greybox.learn(previous)
        self._now = self.turn(self._count, self._searching)
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

    def turn(self, count: int, searching: bool) -> int:
        """Return whose turn execution number *count* is: 0 for the exhaustive search, else the number of a sampler from 1."""
        if searching and (count < ALONE or count % 2 == 0):
            return 0
        return 1 + count // (2 if searching else 1) % len(self.samplers)

    def choose(self, view: View) -> str | None:
        """Return what the scheduler whose turn it is chooses."""
        return self._members[self._now].choose(view)

    def ahead(self, view: View) -> int:
        """Return what the scheduler whose turn it is says."""
        look = getattr(self._members[self._now], "ahead", None)
        return look(view) if look is not None else 0
