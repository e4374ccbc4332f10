"""A decision in the tree of the exhaustive search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from harness.schedulers.base import Option
from harness.values.history import Access

__all__ = ["Node", "part_seen"]


class Node:
    """A decision: the choices tried here, the footprints of their steps, and the choices that are redundant (asleep).

    ``via`` is the choice that leads here from the parent, or ``@`` and the virtual time if only time passes between the
    two.
    """

    __slots__ = (
        "children",
        "cost",
        "delays",
        "now",
        "options",
        "parent",
        "preempts",
        "sleep",
        "touched",
        "tried",
        "via",
        "waited",
    )

    def __init__(
        self, parent: Node | None, via: str, cost: int, preempts: int, sleep: dict[str, Sequence[Access]]
    ) -> None:
        self.parent, self.via, self.cost, self.preempts, self.sleep = parent, via, cost, preempts, sleep
        self.delays: int = parent.delays if parent is not None else 0
        self.now: float = parent.now if parent is not None else 0.0
        self.options: tuple[Option, ...] | None = None
        self.children: dict[str, Node] = {}
        self.touched: dict[str, tuple[Sequence[Access], str]] = {}
        self.tried: set[str] = set()
        self.waited: set[str] = set()

    def path(self) -> list[str]:
        """Return the choices that lead here from the root."""
        choices: list[str] = []
        node = self
        while node.parent is not None:
            choices.append(node.via)
            node = node.parent
        return choices[::-1]

    def price(self, choice: str) -> tuple[int, int]:
        """Return the number of preemptions and faults on the path, *choice* included, and of preemptions alone."""
        options = self.options or ()
        could_go_on = bool(options) and options[0].continues
        for option in options:
            if option.choice == choice:
                preempts = could_go_on and not option.continues and not option.fault
                return self.cost + int(option.fault or preempts), self.preempts + int(preempts)
        return self.cost, self.preempts

    def alternatives(self, choice: str) -> list[str]:
        """Return the other options of the group that *choice* belongs to here."""
        options = self.options or ()
        group = next((option.group for option in options if option.choice == choice), "")
        return (
            [option.choice for option in options if option.group == group and option.choice != choice] if group else []
        )


def part_seen(root: Node, left: Iterable[Node]) -> float:
    """Return the estimated part of the tree under *root* that was seen, from 0 to 1.

    *left* has the node of each branch that is still to be tried. A branch is taken to be as large as its siblings. More
    branches are found during the search, so the estimate is too high until it is 1. After Knuth, "Estimating the
    efficiency of backtrack programs" (1975).
    """
    untried = Counter(map(id, left))
    nodes = [root]
    for node in nodes:
        nodes.extend(node.children.values())
    part: dict[int, float] = {}
    for node in reversed(nodes):
        branches = len(node.children) + untried[id(node)]
        part[id(node)] = sum(part[id(child)] for child in node.children.values()) / branches if branches else 1.0
    return part[id(root)]
