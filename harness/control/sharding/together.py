"""Deals executions to an executor, and counts the results in the order of dealing, whichever comes first."""

from __future__ import annotations

import gc
import pickle
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple, Protocol

from harness.control.sharding.executor import Departed, Executor, Lost
from harness.control.sharding.parcels import Ran
from harness.control.tally import Tally
from harness.schedulers.dealing import Deal, Dealer
from harness.schedulers.wrappers.stop_early import stale

__all__ = ["MOST_SLOTS", "ExplorerExecutor", "Place", "explore_together"]


MOST_SLOTS = 4096
"""The most slots of a cluster. More were never tried; a tree rarely has so many branches to be run at once."""

_LATE = 1.0
"""Seconds by which a run may exceed its budget in seconds, for it waits for the executions that are out."""

_ALLOCATIONS = 50_000
"""The garbage collector runs after so many new objects that can be in a cycle, instead of 700."""


class Place(NamedTuple):
    """A cluster: its address, and the reference to the scenario on its nodes, as for ``registry.find``."""

    address: str
    reference: str


class ExplorerExecutor(Executor[bytes, Ran], Protocol):
    """An executor of executions: each task is a pickled ``Deal.task``.

    ``ahead`` is how many executions per slot may be dealt before the first of them is counted. With more, the tree is
    searched with older knowledge; with fewer, one long execution keeps the others waiting. ``far`` is the same limit
    for executions that lose nothing by older knowledge.
    """

    ahead: int
    far: int


def explore_together(
    opened: AbstractContextManager[ExplorerExecutor], dealer: Dealer, tally: Tally
) -> tuple[float, int]:
    """Run the executions that *dealer* deals, until there are no more, one fails, or the budget is spent.

    *opened* gives the executor. Executions are counted in *tally* in the order of dealing; those dealt after the first
    that fails are ignored. A lost one leaves a doubt there. Returns the seconds it took to start, and how many
    processes explored at once. Raises ``BadInput``, ``SetupFailed`` and ``Unsupported`` as an explorer did.
    """
    began = time.perf_counter()
    with opened as executor:
        startup = time.perf_counter() - began
        tally.budget.begin()
        with _collecting_seldom():
            _Table(executor, dealer, tally).play()
        tally.explored()
    return startup, executor.slots


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """Have the garbage collector run less often while the context lasts.

    The result of each execution is a hundred objects and more, none of them garbage: to look through them all again and
    again took as long as to make them.
    """
    before = gc.get_threshold()
    gc.set_threshold(_ALLOCATIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Table:
    """The executions that were dealt and not yet counted, in the order of dealing."""

    def __init__(self, executor: ExplorerExecutor, dealer: Dealer, tally: Tally) -> None:
        self._troupe, self._dealer, self._tally = executor, dealer, tally
        self._ahead, self._far = executor.ahead * executor.slots, executor.far * executor.slots
        self._away: deque[tuple[Deal, Future[Ran]]] = deque()
        self._dealt = tally.executions
        self._stopping = False

    def play(self) -> None:
        """Deal and count executions until none is left, or one has failed."""
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
        most = self._most()
        while not self._stopping and len(self._away) < most:
            deal = self._dealer.deal(early=len(self._away) >= self._ahead)
            if deal is None:
                return
            if bound := self._tally.budget.spent(self._dealt) or stale(
                self._tally.survey, self._tally.budget.stop_after
            ):
                self._tally.bound, self._stopping = bound, True
                return
            self._away.append((deal, self._troupe.submit(pickle.dumps(deal.task, pickle.HIGHEST_PROTOCOL))))
            self._dealt += 1

    def _most(self) -> int:
        """Return how many executions may be out: fewer if, with a budget in seconds, all would not be back in time."""
        done, budget = self._tally.executions, self._tally.budget
        if budget.seconds is None or (done and budget.elapsed / done * self._far < _LATE):
            return self._far
        return self._ahead

    def _count(self, deal: Deal, promise: Future[Ran]) -> bool:
        """Count the execution of *deal*, and learn from it; return whether it failed."""
        try:
            execution, findings = promise.result()
        except Lost as lost:
            if isinstance(lost, Departed):
                self._tally.departed = self._tally.departed or str(lost)
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
