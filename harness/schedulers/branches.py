"""The exhaustive search cut in two: one process has the tree, others walk its branches and say what they met.

After Yang, Chen, Gopalakrishnan and Kirby, "Distributed dynamic partial order reduction based verification of threaded
software" (SPIN 2007), but that the tree stays in one place, and a branch is one execution, not a search of its own. So
what a race says about a decision further up is always known where that decision is, and nothing is tried twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from harness.history import Access
from harness.result import Execution
from harness.schedule import FAULT_MARK
from harness.schedulers.base import Option
from harness.schedulers.dependence import Race
from harness.schedulers.exhaustive import Exhaustive, gives_way
from harness.schedulers.frontier import Entry
from harness.schedulers.node import Node

__all__ = ["Branch", "Excursion", "Findings", "SharedTree"]

Touched = dict[str, tuple[Sequence[Access], str]]
Asleep = dict[str, Sequence[Access]]
Shows = tuple[str, str]

_LOOKED_AT, _LOOKED_AT_EARLY, _PAUSE = 20, 100, 8
"""Branches that are looked at for one that need not await others; the same for one to be walked early; and where none of those
was found, how many must come back before it is looked for again."""


class Branch(NamedTuple):
    """What an excursion is to try, and all it has to know of the tree.

    ``path`` has the name, the time and the digest of each way on from the root; ``target`` is to be tried at its end (empty at
    the root of a tree of which nothing is known). The rest is what that decision knows: ``touched`` and ``sleep`` as they
    are when the branch is handed out, so of two that are tried at once neither sleeps on account of the other.
    """

    reduction: bool
    preemptions: int | None
    path: list[tuple[str, float, str]]
    target: str
    options: tuple[Option, ...]
    cost: int
    spent: int
    touched: Touched
    sleep: Asleep


class Met(NamedTuple):
    """A new decision: how the one before leads to it, and what is known of it now."""

    via: str
    now: float
    cost: int
    spent: int
    options: tuple[tuple[Any, ...], ...] | None
    touched: Touched
    tried: set[str]
    sleep: Asleep


class Wanted(NamedTuple):
    """What has to be tried at new decision *number*: the choice, its cost, what it shows."""

    number: int
    choice: str
    cost: int
    shows: Shows


class Raced(NamedTuple):
    """A race whose earlier step was taken at decision *number* from the root, on the path: what could come first there."""

    number: int
    initials: tuple[str, ...]
    shows: Shows
    delayed: bool = False


class Findings(NamedTuple):
    """What an excursion found out about the tree.

    ``met`` are the new decisions, each below the one before; ``notes`` what is to be done about them and those on the path, in
    order. ``first`` is what the first new step touched.
    """

    met: list[Met]
    notes: list[Wanted | Raced]
    first: tuple[Sequence[Access], str] | None
    limited: bool
    cut: bool


class Excursion(Exhaustive):
    """Walks one branch, in one execution, of a tree that is elsewhere."""

    def __init__(self, branch: Branch) -> None:
        super().__init__(branch.reduction, branch.preemptions)
        # What is offered further up on the path, and whether somewhere the times of files are looked at, is not known here.
        self._races_ask_for_delays, self._dates_matter = False, True
        self._known: dict[int, int] = {}
        self._touched = branch.touched
        self._notes: list[tuple[Node, str, int, Shows] | Raced] = []
        self._races: set[tuple[int, tuple[str, ...], bool]] = set()
        self._prefix, self._target = [via for via, *_ in branch.path], branch.target
        self._fork: Node | None = None
        if branch.target:
            self._retrace(branch)

    def _retrace(self, branch: Branch) -> None:
        """Lay out the path: its decisions are not new, so nothing is noted there, but what runs must be what ran before."""
        node = self._root
        self._known[id(node)] = 0
        for number, (via, now, digest) in enumerate(branch.path, 1):
            node.options = ()
            if digest:
                node.touched[via] = (), digest
            node.children[via] = node = Node(node, via, 0, 0, {})
            node.now = now
            self._known[id(node)] = number
        node.options, node.cost, node.preempts = branch.options, branch.cost, branch.spent
        node.touched, node.sleep = dict(branch.touched), branch.sleep
        self._fork = node

    def _push(self, cost: int, shows: Shows, node: Node, choice: str) -> None:
        self._notes.append((node, choice, cost, shows))

    def _reverse(self, position: int, race: Race, shows: tuple[str, str]) -> None:
        number = self._known.get(id(self._nodes[position]))
        if number is None:
            super()._reverse(position, race, shows)
        elif (number, race.initials, race.delayed) not in self._races:
            self._races.add((number, race.initials, race.delayed))
            self._notes.append(Raced(number, race.initials, shows, race.delayed))

    def findings(self, execution: Execution) -> Findings:
        """Return what *execution*, the one it chose in, says about the tree."""
        self._learn(execution)
        new = self._root if self._fork is None else next(iter(self._fork.children.values()), None)
        if new is not None and new.via in self._touched:
            new = None  # It had to go where somebody was before.
        first = self._fork.touched.get(new.via) if self._fork is not None and new is not None else None
        met: list[Met] = []
        numbers: dict[int, int] = {}
        while new is not None:
            numbers[id(new)] = len(met)
            options: tuple[tuple[Any, ...], ...] | None
            options = None if new.options is None else tuple([option[:-1] for option in new.options])
            met.append(Met(new.via, new.now, new.cost, new.preempts, options, new.touched, new.tried, new.sleep))
            new = next(iter(new.children.values()), None)
        notes: list[Wanted | Raced] = []
        for note in self._notes:
            if isinstance(note, Raced):
                notes.append(note)
            elif (number := numbers.get(id(note[0]))) is not None:
                notes.append(Wanted(number, *note[1:]))
        return Findings(met, notes, first, self._limited, self.cut)


class SharedTree(Exhaustive):
    """The tree, for several to walk at once: hands out branches, and learns what was met there."""

    def __init__(self, reduction: bool = True, preemptions: int | None = None) -> None:
        super().__init__(reduction, preemptions)
        self._begun = False
        self._away: dict[tuple[Node, str], None] = {}
        self._out: Counter[Node] = Counter()
        self._pause = 0

    @property
    def over(self) -> bool:
        """Whether nothing is left to try, and nobody is away who could come back with more."""
        return self._begun and not self._away and not self._frontier

    @property
    def complete(self) -> bool:
        """Whether every interleaving was covered and no limit was hit on the way."""
        return self.over and not self._limited

    def _left(self) -> Iterator[Node]:
        """Yield the node of each branch that is still to be taken, or that somebody is away on."""
        yield from super()._left()
        yield from (node for node, _ in self._away)

    def branch(self, early: bool = False) -> tuple[Branch, tuple[Node, str]] | None:
        """Return the cheapest branch not yet tried, and its origin here; None where all that are known are being tried.

        Where there are others, not one that might turn out to be redundant when those that are away come back; such a one in
        no case if it is *early*.
        """
        if not self._begun:
            self._begun = True
            return self._leave(self._root, "")
        if early and self._pause:
            return None
        best: Entry[Node] | None = None
        put_off: list[Entry[Node]] = []
        most = _LOOKED_AT_EARLY if early else _LOOKED_AT
        while len(put_off) < most and (entry := self._cheapest()) is not None:
            if not self._awaits(entry.node, entry.choice):
                best = entry
                break
            put_off.append(entry)
        if best is None and put_off and not early:
            best = put_off.pop(0)
        for entry in put_off:
            self._frontier.put_back(entry)
        if best is None and early:
            self._pause = _PAUSE
        return self._leave(best.node, best.choice) if best is not None else None

    def _leave(self, node: Node, target: str) -> tuple[Branch, tuple[Node, str]]:
        self._away[node, target] = None
        self._out[node] += 1
        path = []
        above = node
        while above.parent is not None:
            known = above.parent.touched.get(above.via)
            path.append((above.via, above.now, known[1] if known is not None else ""))
            above = above.parent
        path.reverse()
        options, touched, sleep = node.options or (), node.touched, node.sleep
        return (
            Branch(self._reduction, self._most, path, target, options, node.cost, node.preempts, touched, sleep),
            (node, target),
        )

    def _awaits(self, node: Node, choice: str) -> bool:
        """Return whether somebody is away on a branch on account of which this one, or much of it, could be left out."""
        if not self._reduction:
            return False
        if self._out[node]:
            return True
        if not choice.startswith(FAULT_MARK):
            return False
        while (above := node.parent) is not None and gives_way(node.via, choice):
            if (above, choice) in self._away:
                return True
            node = above
        return False

    def take(self, origin: tuple[Node, str], findings: Findings) -> None:
        """Add what was met past *origin* to the tree, and note what has to be tried on account of it."""
        node, _ = origin
        self._pause = max(self._pause - 1, 0)
        del self._away[origin]
        self._out[node] -= 1
        self._limited |= findings.limited
        self.cut |= findings.cut
        path = [node]
        while (above := path[-1].parent) is not None:
            path.append(above)
        path.reverse()
        new = self._graft(node, findings)
        for note in findings.notes:
            if isinstance(note, Raced):
                at = path[note.number]
                for choice in self._untried(at, note.initials, note.delayed):
                    self._try(at, choice, note.shows)
            elif new:
                self._push(note.cost, note.shows, new[note.number], note.choice)

    def _graft(self, node: Node, findings: Findings) -> list[Node]:
        """Add the new decisions below *node* and return them; none where somebody was before."""
        new: list[Node] = []
        if findings.met and findings.met[0].via in node.children:
            return new
        if findings.first is not None:
            node.touched[findings.met[0].via] = findings.first
        for met in findings.met:
            if met.via:
                node.children[met.via] = node = Node(node, met.via, met.cost, met.spent, met.sleep)
            node.now, node.touched, node.tried = met.now, met.touched, met.tried
            if met.options is not None:
                node.options = tuple([Option(*option) for option in met.options])
            new.append(node)
        return new
