"""Deals executions to an executor, and takes what comes back in the order of dealing, whoever was quicker."""

from __future__ import annotations

import pickle
import time
from collections import deque
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from harness.control.sharding.explorer import Setting, unpacked
from harness.control.tally import Tally
from harness.executor import Executor, Lost
from harness.schedulers.dealing import Deal, Dealer
from harness.schedulers.wrappers.stop_early import stale

__all__ = ["MOST_SLOTS", "Place", "Troupe", "explore_together"]


MOST_SLOTS = 4096
"""Beyond it nobody has tried; a tree rarely has so many branches that can be walked at once."""


class Place(NamedTuple):
    """A cluster: its address, and how the scenario is called on its nodes, as for ``registry.find``."""

    address: str
    reference: str


class Troupe(Executor[bytes, bytes], Protocol):
    """Who runs executions: each task is a pickled ``Deal.task``, each answer what ``explorer.packed`` makes.

    ``ahead`` is how many executions per slot may be dealt before the first of them is taken into account: more, and the tree is
    searched with older knowledge; fewer, and one long execution keeps the others waiting.
    """

    ahead: int


def explore_together(
    opened: AbstractContextManager[Troupe], setting: Setting, dealer: Dealer, tally: Tally
) -> tuple[float, int]:
    """Have the troupe that *opened* gives run what *dealer* deals, until there is no more, one fails, or the budget is spent.

    All is counted in *tally*, in the order of dealing: what comes after the first failure is as if it had not been. What is
    lost leaves a doubt there. Returns the seconds it took to start, and how many explored at once.
    Raises ``BadInput``, ``SetupFailed`` and ``Unsupported`` as an explorer did.
    """
    began = time.perf_counter()
    with opened as troupe:
        startup = time.perf_counter() - began
        tally.budget.begin()
        _Table(troupe, dealer, tally, setting).play()
        tally.explored()
    return startup, troupe.slots


class _Table:
    """The executions that were dealt and not yet counted, in the order of dealing."""

    def __init__(self, troupe: Troupe, dealer: Dealer, tally: Tally, setting: Setting) -> None:
        self._troupe, self._dealer, self._tally = troupe, dealer, tally
        self._workload = setting.scenario.workload(setting.workers)
        self._most = troupe.ahead * troupe.slots
        self._away: deque[tuple[Deal, Future[bytes]]] = deque()
        self._dealt = 0
        self._stopping = False

    def play(self) -> None:
        """Deal and count until nothing is left, or one has failed."""
        self._deal()
        while self._away:
            deal, promise = self._away[0]
            while not promise.done():
                self._troupe.wait()
            self._away.popleft()
            if self._count(deal, promise):
                return
            self._deal()

    def _deal(self) -> None:
        while not self._stopping and len(self._away) < self._most:
            deal = self._dealer.deal()
            if deal is None:
                return
            if bound := self._tally.budget.spent(self._dealt) or stale(
                self._tally.survey, self._tally.budget.stop_after
            ):
                self._tally.bound, self._stopping = bound, True
                return
            self._away.append((deal, self._troupe.submit(pickle.dumps(deal.task, pickle.HIGHEST_PROTOCOL))))
            self._dealt += 1

    def _count(self, deal: Deal, promise: Future[bytes]) -> bool:
        """Take into account what came of *deal*; return whether it failed."""
        try:
            execution, findings = unpacked(promise.result(), self._workload)
        except Lost as lost:
            if str(lost) not in self._tally.doubts:
                self._tally.doubts.append(str(lost))
            self._stopping = True
            return False
        self._tally.count(execution)
        if execution.failure is not None:
            return True
        if execution.stuck:
            self._stopping = True
        else:
            self._dealer.learn(deal, execution, findings)
        return False
