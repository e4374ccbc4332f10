"""The choices that an exhaustive search has still to try: cheapest first, but dearer ones get turns too."""

from __future__ import annotations

import heapq
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Generic, NamedTuple, TypeVar

from harness.values.names import Choice

__all__ = ["Entry", "Frontier"]

_PATIENCE = 20
"""How many entries of one price are taken before dearer entries get turns."""

_Node = TypeVar("_Node")


class Entry(NamedTuple, Generic[_Node]):
    """The *choice* to be made at the decision *node*, its cost in preemptions and faults, and its rank at that cost."""

    cost: int
    wanted: int
    order: int
    node: _Node
    choice: str


class Frontier(Generic[_Node]):
    """A priority queue of choices by price; at one price, the one that shows the rarest pair comes first.

    Of equally rare ones, the oldest comes first. Prices come in ascending order. But if *fair* is true, all prices take
    turns after ``_PATIENCE`` entries of one: with many tasks there are more orders of whole tasks, which cost nothing,
    than can be tried, and most races need a preemption or a fault. At one price, faults and other choices take turns:
    there are many more places for a fault than orders of two calls.
    """

    def __init__(self, fair: bool = True) -> None:
        self._patience = _PATIENCE if fair else sys.maxsize
        self._heaps: dict[int, tuple[list[Entry[_Node]], list[Entry[_Node]]]] = {}
        """For each price: a heap of choices that are no faults, and a heap of faults."""
        self._wanted: Counter[tuple[str, str]] = Counter()
        self._taken: Counter[int] = Counter()
        self._faults: Counter[int] = Counter()
        """For each price: how many of the entries taken were faults."""
        self._order = count()

    def __iter__(self) -> Iterator[Entry[_Node]]:
        return (entry for heaps in self._heaps.values() for heap in heaps for entry in heap)

    def __len__(self) -> int:
        return sum(len(heap) for heaps in self._heaps.values() for heap in heaps)

    def __repr__(self) -> str:
        return f"<Frontier { ({cost: sum(map(len, heaps)) for cost, heaps in sorted(self._heaps.items())}) }>"

    def put(self, cost: int, shows: tuple[str, str], node: _Node, choice: str) -> None:
        """Add *choice* at *node*. The more entries with the same *shows* were added before, the later it comes."""
        self._wanted[shows] += 1
        entry = Entry(cost, self._wanted[shows], next(self._order), node, choice)
        heapq.heappush(self._heap_of(entry), entry)

    def _heap_of(self, entry: Entry[_Node]) -> list[Entry[_Node]]:
        return self._heaps.setdefault(entry.cost, ([], []))[Choice(entry.choice).is_fault]

    def take(self) -> Entry[_Node]:
        """Remove and return the entry to be tried next. Raises ``IndexError`` if there is none."""
        price = min(
            (cost for cost, heaps in self._heaps.items() if any(heaps)),
            key=lambda cost: (max(self._taken[cost] - self._patience + 1, 0), cost),
            default=0,
        )
        others, faults = self._heaps.get(price, ([], []))
        turn = bool(faults) and (not others or 2 * self._faults[price] < self._taken[price])
        entry = heapq.heappop(faults if turn else others)
        self._taken[price] += 1
        self._faults[price] += turn
        return entry

    def put_back(self, entry: Entry[_Node]) -> None:
        """Put back *entry*, which was taken but not tried."""
        heapq.heappush(self._heap_of(entry), entry)
        self._taken[entry.cost] -= 1
        self._faults[entry.cost] -= Choice(entry.choice).is_fault
