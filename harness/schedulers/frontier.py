"""What an exhaustive search has still to try: cheapest first, but no price for ever."""

from __future__ import annotations

import heapq
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Generic, NamedTuple, TypeVar

__all__ = ["Entry", "Frontier"]

_PATIENCE = 20
"""So many are taken at one price, as long as there are some, before dearer ones have a turn."""

_Node = TypeVar("_Node")


class Entry(NamedTuple, Generic[_Node]):
    """The *choice* to be made at the decision *node*: what it costs in preemptions and faults, and its rank among its like."""

    cost: int
    wanted: int
    order: int
    node: _Node
    choice: str


class Frontier(Generic[_Node]):
    """Gives what was put in: of one price what shows something rare first, then the oldest.

    Prices come in rising order, but if it is *fair* all take turns after ``_PATIENCE`` of one: with many tasks there are more
    orders of whole tasks, which cost nothing, than anyone can try, and most races take a preemption or a fault.
    """

    def __init__(self, fair: bool = True) -> None:
        self._patience = _PATIENCE if fair else sys.maxsize
        self._heaps: dict[int, list[Entry[_Node]]] = {}
        self._wanted: Counter[tuple[str, str]] = Counter()
        self._taken: Counter[int] = Counter()
        self._order = count()

    def __iter__(self) -> Iterator[Entry[_Node]]:
        return (entry for heap in self._heaps.values() for entry in heap)

    def __len__(self) -> int:
        return sum(map(len, self._heaps.values()))

    def __repr__(self) -> str:
        return f"<Frontier { ({cost: len(heap) for cost, heap in sorted(self._heaps.items())}) }>"

    def put(self, cost: int, shows: tuple[str, str], node: _Node, choice: str) -> None:
        """Put in *choice* at *node*; of those that *show* the same, each further one can wait longer."""
        self._wanted[shows] += 1
        entry = Entry(cost, self._wanted[shows], next(self._order), node, choice)
        heapq.heappush(self._heaps.setdefault(cost, []), entry)

    def take(self) -> Entry[_Node]:
        """Take out what is to be tried next; raises ``IndexError`` where there is nothing."""
        price = min(
            (cost for cost, heap in self._heaps.items() if heap),
            key=lambda cost: (max(self._taken[cost] - self._patience + 1, 0), cost),
            default=0,
        )
        entry = heapq.heappop(self._heaps.get(price, []))
        self._taken[price] += 1
        return entry

    def put_back(self, entry: Entry[_Node]) -> None:
        """Put in again what was taken out in vain."""
        heapq.heappush(self._heaps[entry.cost], entry)
        self._taken[entry.cost] -= 1
