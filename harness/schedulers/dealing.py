"""How a scheduler's executions are dealt to several processes: what each is to do, and what is learnt of what it did.

Whatever decides is in one place, and learns from executions in the order in which they were dealt, however long each took. So
with as many jobs the same seed deals the same executions, whatever the timing.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple, Protocol

from harness.result import Execution
from harness.schedulers.base import Scheduler
from harness.schedulers.branches import Branch, Findings, SharedTree
from harness.schedulers.exhaustive import Exhaustive
from harness.schedulers.pct import PCT
from harness.schedulers.portfolio import Portfolio

__all__ = ["Deal", "Dealer", "dealer_of"]


class Deal(NamedTuple):
    """One execution to be run: ``task`` is what chooses in it, as it is now, and can be pickled; ``origin`` is the dealer's."""

    task: Branch | Scheduler
    origin: Any


class Dealer(Protocol):
    """Deals executions. ``complete``, ``cut`` and ``seen`` are as the scheduler's, where it has them."""

    name: str

    def deal(self, early: bool = False) -> Deal | None:
        """Return another execution, to be pickled before the next call; None where there is none, or none yet.

        If it is *early*, so many are away that only one should be dealt that loses nothing by what is not learnt yet.
        """

    def learn(self, deal: Deal, execution: Execution, findings: Findings | None) -> None:
        """Take what came of *deal* into account. Called for every deal, in the order of dealing."""


class SamplesDealer:
    """Deals a sampler's executions: number n has the stream it has without jobs, so they are the same set.

    What a sampler learns from earlier executions (how long they are, what operations touch) it learns some executions later.
    """

    def __init__(self, sampler: Scheduler) -> None:
        self.name = sampler.name
        self._sampler = sampler
        self._lessons: deque[Execution] = deque()

    @property
    def pct(self) -> dict[int, int]:
        """The executions of PCT for which its guarantee holds, by depth; none of another sampler."""
        return self._sampler.pct if isinstance(self._sampler, PCT) else {}

    def deal(self, early: bool = False) -> Deal | None:
        """Return the next execution, if there is one; *early* or not, for it hardly depends on others."""
        if not self._sampler.start(self._lessons.popleft() if self._lessons else None):
            return None
        return Deal(self._sampler, None)

    def learn(self, deal: Deal, execution: Execution, findings: Findings | None) -> None:
        """Keep *execution* for the sampler to learn from."""
        self._lessons.append(execution)


class TreeDealer:
    """Deals the branches of the exhaustive search's tree."""

    def __init__(self, tree: SharedTree) -> None:
        self.name = tree.name
        self.search = self._tree = tree

    @property
    def complete(self) -> bool:
        """Whether every interleaving was covered."""
        return self._tree.complete

    @property
    def cut(self) -> bool:
        """Whether there were interleavings beyond the bound on preemptions."""
        return self._tree.cut

    @property
    def seen(self) -> float:
        """Which part of the tree was seen, as the search estimates it."""
        return self._tree.seen

    @property
    def over(self) -> bool:
        """Whether no more can come."""
        return self._tree.over

    def deal(self, early: bool = False) -> Deal | None:
        """Return the cheapest branch; if it is *early* of those only that await no other."""
        found = self._tree.branch(early)
        return Deal(*found) if found is not None else None

    def learn(self, deal: Deal, execution: Execution, findings: Findings | None) -> None:
        """Add what was met to the tree."""
        assert findings is not None
        self._tree.take(deal.origin, findings)


class PortfolioDealer:
    """Deals as the portfolio takes turns: the tree first, then every other execution a sample."""

    def __init__(self, portfolio: Portfolio) -> None:
        self.name = portfolio.name
        self._portfolio = portfolio
        self._tree = TreeDealer(SharedTree())
        self._samples = [SamplesDealer(sampler) for sampler in portfolio.samplers]
        self._count = 0

    @property
    def complete(self) -> bool:
        """Whether every interleaving was covered."""
        return self._tree.complete

    @property
    def seen(self) -> float:
        """Which part of the tree was seen, as the exhaustive search estimates it."""
        return self._tree.seen

    @property
    def pct(self) -> dict[int, int]:
        """The executions of PCT for which its guarantee holds, by depth."""
        return self._portfolio.pct

    def deal(self, early: bool = False) -> Deal | None:
        """Return an execution of whoever's turn it is; past the beginning a sample, where the tree has nothing to give.

        But not if it is *early*: then samples would take the turns of the tree, which has something later.
        """
        over = self._tree.over
        if over and self._tree.complete:
            return None
        self._portfolio.reconsider(self._count, self._tree.search)
        turn = self._portfolio.turn(self._count, searching=not over)
        if turn == 0:
            dealt = self._tree.deal(early)
            if dealt is None and (early or self._portfolio.alone(self._count)):
                return None
            if dealt is not None:
                self._count += 1
                return Deal(dealt.task, (self._tree, dealt))
            turn = self._portfolio.turn(self._count, searching=False)
        dealer = self._samples[turn - 1]
        dealt = dealer.deal()
        if dealt is None:
            return None
        self._count += 1
        return Deal(dealt.task, (dealer, dealt))

    def learn(self, deal: Deal, execution: Execution, findings: Findings | None) -> None:
        """Have whoever dealt it learn from it, and the greybox search in any case."""
        dealer, dealt = deal.origin
        dealer.learn(dealt, execution, findings)
        if dealt.task is not self._portfolio.greybox:
            self._portfolio.greybox.learn(execution)


def dealer_of(scheduler: Scheduler, preemptions: int | None) -> Dealer:
    """Return the dealer of the executions of *scheduler*, which has begun none; *preemptions* is its bound, if it has one."""
    if isinstance(scheduler, Portfolio):
        return PortfolioDealer(scheduler)
    if isinstance(scheduler, Exhaustive):
        return TreeDealer(SharedTree(scheduler.name == "exhaustive", preemptions))
    return SamplesDealer(scheduler)
