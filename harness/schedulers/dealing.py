"""Dealers, which deal the executions of a scheduler to several processes and learn from the results.

All decisions are made in one process, which learns from executions in the order in which they were dealt, however long
each took. So with the same number of jobs, the same seed deals the same executions, whatever the timing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from harness.result import Execution
from harness.schedulers.base import Scheduler, SearchReport, report_of
from harness.schedulers.portfolio import Portfolio
from harness.schedulers.tree.branches import Branch, Findings, SharedTree
from harness.schedulers.tree.exhaustive import Exhaustive

__all__ = ["Deal", "Dealer", "dealer_of"]


class Deal(NamedTuple):
    """An execution to be run: ``task`` chooses in it and must be pickled at once; ``origin`` is for the dealer."""

    task: Branch | Scheduler
    origin: Any


class Dealer(Protocol):
    """Deals executions."""

    name: str

    def report(self) -> SearchReport:
        """Return the report on the search so far."""

    def deal(self, *, early: bool = False) -> Deal | None:
        """Return another execution, to be pickled before the next call; None if there is none, or none yet.

        *early* is true if many executions are under way: then only an execution that does not depend on their results
        is returned.
        """

    def learn(self, deal: Deal, execution: Execution, findings: Findings | None) -> None:
        """Learn from the *execution* of *deal*. Called for every deal, in the order of dealing."""


class SamplesDealer:
    """Deals a sampler's executions.

    Execution number n has the same random stream as in a run with one process, so the set of executions is the same.
    The sampler learns from earlier executions (their lengths, the footprints of operations) some executions later than
    there.
    """

    def __init__(self, sampler: Scheduler) -> None:
        self.name = sampler.name
        self._sampler = sampler
        self._lessons: deque[Execution] = deque()

    def report(self) -> SearchReport:
        """Return the report of the sampler."""
        return report_of(self._sampler)

    def deal(self, *, early: bool = False) -> Deal | None:
        """Return the next execution, if there is one; also if *early*, for a sample hardly depends on others."""
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

    def report(self) -> SearchReport:
        """Return the report of the tree."""
        return self._tree.report()

    @property
    def over(self) -> bool:
        """Whether there will be no further execution."""
        return self._tree.over

    def deal(self, *, early: bool = False) -> Deal | None:
        """Return the cheapest branch; if *early*, only one that need not wait for branches under way."""
        found = self._tree.branch(early)
        return Deal(*found) if found is not None else None

    def learn(self, deal: Deal, execution: Execution, findings: Findings | None) -> None:
        """Add the *findings* to the tree."""
        assert findings is not None
        self._tree.take(deal.origin, findings)


class PortfolioDealer:
    """Deals in the portfolio's order: branches of the tree first, then every other execution is a sample."""

    def __init__(self, portfolio: Portfolio) -> None:
        self.name = portfolio.name
        self._portfolio = portfolio
        self._tree = TreeDealer(SharedTree())
        self._samples = [SamplesDealer(sampler) for sampler in portfolio.samplers]
        self._count = 0

    def report(self) -> SearchReport:
        """Return the report of the tree, with the executions for which PCT's guarantee holds."""
        return replace(self._tree.report(), pct=self._portfolio.pct)

    def deal(self, *, early: bool = False) -> Deal | None:
        """Return an execution of the strategy that has its turn, or a sample if the tree has no branch to give.

        In the first executions, which are for the tree alone, no sample takes its place; nor if *early* is true: the
        samples would take turns from the tree, which has a branch to give later.
        """
        over = self._tree.over
        if over and self._tree.search.complete:
            return None
        self._portfolio.reconsider(self._count, self._tree.search)
        turn = self._portfolio.turn(self._count, searching=not over)
        if turn == 0:
            dealt = self._tree.deal(early=early)
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
        """Pass *execution* on to the dealer that dealt it, and to the greybox search in any case."""
        dealer, dealt = deal.origin
        dealer.learn(dealt, execution, findings)
        if dealt.task is not self._portfolio.greybox:
            self._portfolio.greybox.learn(execution)


def dealer_of(scheduler: Scheduler, preemptions: int | None) -> Dealer:
    """Return a dealer for *scheduler*, which has not begun an execution; *preemptions* is its bound, if it has one."""
    if isinstance(scheduler, Portfolio):
        return PortfolioDealer(scheduler)
    if isinstance(scheduler, Exhaustive):
        return TreeDealer(SharedTree(scheduler.name == "exhaustive", preemptions))
    return SamplesDealer(scheduler)
