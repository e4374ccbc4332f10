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
from harness.schedulers.stateful import Stateful

__all__ = ["Portfolio"]

_ALONE, _LONGEST_ALONE = 60, 480
"""So many executions go to the exhaustive search before any sampler has a turn; so many at most, if it is near its end."""

_NEAR = 0.25
"""A search that is estimated to have seen so much of its tree is likely to end within a few times what it took so far."""


class Portfolio:
    """The exhaustive search, cheapest first; from its sixtieth execution on, every other one goes to a sampler.

    If by then a good part of the tree is seen the samplers wait, for what is left is soon covered in full.
    The samplers take turns too: POS, the random walk, PCT with depths 1, 2 and 3, and a greybox search that learns from
    all. It ends when the exhaustive search has covered everything, and then is ``complete``.
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
        """Whether the exhaustive search has its turn, and wants to be told the state of each decision."""
        return self._now == 0 and self._exhaustive.wants_states

    @property
    def foreseen(self) -> int:
        """Executions that the exhaustive search did not run since all of them was known."""
        return self._exhaustive.foreseen

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
        self.reconsider(self._count, self._exhaustive)
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

    def reconsider(self, count: int, search: Exhaustive) -> None:
        """Before execution number *count*: leave *search* alone for as long again if it is near its end."""
        if count == self._alone < _LONGEST_ALONE and search.seen >= _NEAR:
            self._alone *= 2

    def alone(self, count: int) -> bool:
        """Return whether execution number *count* comes before any sampler's turn."""
        return count < self._alone

    def turn(self, count: int, searching: bool) -> int:
        """Return whose turn execution number *count* is: 0 for the exhaustive search, else the number of a sampler from 1."""
        if searching and (self.alone(count) or count % 2 == 0):
            return 0
        return 1 + count // (2 if searching else 1) % len(self.samplers)

    def choose(self, view: View) -> str | None:
        """Return what the scheduler whose turn it is chooses."""
        return self._members[self._now].choose(view)

    def ahead(self, view: View) -> int:
        """Return what the scheduler whose turn it is says."""
        look = getattr(self._members[self._now], "ahead", None)
        return look(view) if look is not None else 0
