"""Deals executions to explorers, and takes what comes back in the order of dealing, whoever was quicker."""

from __future__ import annotations

import pickle
import time
from collections import deque

from harness import errors
from harness.control.sharding.explorer import BUG, DIVERGED, Setting, unpacked
from harness.control.sharding.explorers import DIED, Explorers, News, explorers
from harness.control.tally import Tally
from harness.schedulers.dealing import Deal, Dealer
from harness.schedulers.wrappers.stop_early import stale

__all__ = ["explore_together"]

_IN_HAND, _SMALL = 2, 16_000
"""Executions that an explorer has at a time, so that it need not wait for the next; the second only if it fits in the pipe
(64 KiB) whatever else does: else both sides could be writing, and nobody reading."""


_AHEAD = 4
"""Executions per explorer that may be dealt before the first of them is taken into account: more, and the tree is searched with
older knowledge; fewer, and one long execution keeps the others waiting."""


def explore_together(jobs: int, setting: Setting, dealer: Dealer, tally: Tally) -> float:
    """Have *jobs* explorers run what *dealer* deals, until there is no more, one fails, or the budget is spent.

    All is counted in *tally*, in the order of dealing: what comes after the first failure is as if it had not been. An explorer
    that dies, or meets what it can't judge, leaves a doubt there. Returns the seconds it took to start them.
    Raises ``BadInput``, ``SetupFailed`` and ``Unsupported`` as an explorer did.
    """
    began = time.perf_counter()
    with explorers(jobs, setting) as them:
        table = _Table(jobs, them, dealer, tally, setting)
        table.await_ready()
        startup = time.perf_counter() - began
        tally.budget.begin()
        table.play()
        tally.explored()
    return startup


class _Table:
    """The executions that were dealt and not yet counted: waiting to be sent, being run, or waiting for an earlier one."""

    def __init__(self, jobs: int, them: Explorers, dealer: Dealer, tally: Tally, setting: Setting) -> None:
        self._explorers, self._dealer, self._tally = them, dealer, tally
        self._workload = setting.scenario.workload(setting.workers)
        self._starting, self._most = set(range(jobs)), _AHEAD * jobs
        self._ready: dict[int, deque[int]] = {}
        """The executions that each explorer has in hand, the one that it runs first."""
        self._gone: set[int] = set()
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._deals: dict[int, Deal] = {}
        self._arrived: dict[int, bytes | str] = {}
        self._dealt = self._counted = 0
        self._stopping = False

    def await_ready(self) -> None:
        """Return when every explorer can run executions, or one has died."""
        while self._starting and not self._stopping:
            self._note(self._explorers.hear())

    def play(self) -> None:
        """Deal and count until nothing is left."""
        self._deal()
        self._send()
        while any(self._ready.values()):
            self._note(self._explorers.hear())
            self._send()
            if self._count():
                return
            self._send()

    def _send(self) -> None:
        """Give out what waits, to those first who have nothing to do."""
        for in_hand in range(_IN_HAND):
            for explorer, numbers in self._ready.items():
                if self._waiting and len(numbers) == in_hand and (not numbers or len(self._waiting[0][1]) < _SMALL):
                    number, data = self._waiting.popleft()
                    numbers.append(number)
                    self._explorers.send(explorer, data)

    def _deal(self) -> None:
        while not self._stopping and self._dealt - self._counted < self._most:
            deal = self._dealer.deal()
            if deal is None:
                return
            if bound := self._tally.budget.spent(self._dealt) or stale(
                self._tally.survey, self._tally.budget.stop_after
            ):
                self._tally.bound, self._stopping = bound, True
                return
            self._deals[self._dealt] = deal
            self._waiting.append((self._dealt, pickle.dumps(deal.task, pickle.HIGHEST_PROTOCOL)))
            self._dealt += 1

    def _note(self, news: News) -> None:
        explorer, kind, value = news
        if kind == "ready":
            self._starting.discard(explorer)
            self._ready[explorer] = deque()
        elif kind == "ran":
            self._arrived[self._ready[explorer].popleft()] = value
        elif kind in (DIED, DIVERGED):
            self._lose(explorer, value if kind == DIVERGED else _mourned(value))
        elif kind == BUG:
            raise RuntimeError(f"explorer {explorer} failed:\n{value}")
        else:
            raise getattr(errors, kind)(value)

    def _lose(self, explorer: int, why: str) -> None:
        """Do without *explorer*: what it was at is not known."""
        self._stopping = True
        if explorer in self._gone:
            return
        self._gone.add(explorer)
        lost = self._ready.pop(explorer, None)
        if not lost:
            self._tally.doubts.append(why)
        for number in lost or ():
            self._arrived[number] = why

    def _count(self) -> bool:
        """Take into account what has arrived and is next; return whether an execution failed."""
        while (arrived := self._arrived.pop(self._counted, None)) is not None:
            deal = self._deals.pop(self._counted)
            self._counted += 1
            if isinstance(arrived, str):
                if arrived not in self._tally.doubts:
                    self._tally.doubts.append(arrived)
                self._stopping = True
                continue
            execution, findings = unpacked(arrived, self._workload)
            self._tally.count(execution)
            if execution.failure is not None:
                return True
            if execution.stuck:
                self._stopping = True
            else:
                self._dealer.learn(deal, execution, findings)
            self._deal()
        return False


def _mourned(how: str) -> str:
    return (
        f"The search was not finished: {how} while it explored, and what it was at was never judged. Usual causes: the kernel "
        "ran out of memory, or somebody killed it; try fewer jobs."
    )
