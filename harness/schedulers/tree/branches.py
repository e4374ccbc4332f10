"""The exhaustive search with several processes: one holds the tree, the others run its branches.

After Yang, Chen, Gopalakrishnan and Kirby, "Distributed dynamic partial order reduction based verification of threaded
software" (SPIN 2007), with two differences: the tree stays in one process, and a branch is one execution, not a search
of its own. So a race that asks for a choice at an earlier decision always reaches the process that has this decision,
and nothing is tried twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from harness.result import Execution
from harness.schedulers.base import Option
from harness.schedulers.tree.dependence import Race
from harness.schedulers.tree.exhaustive import Exhaustive, gives_way
from harness.schedulers.tree.frontier import Entry
from harness.schedulers.tree.node import Node
from harness.values.history import Access
from harness.values.names import Choice

__all__ = ["Branch", "Excursion", "Findings", "SharedTree"]

Touched = dict[str, tuple[Sequence[Access], str]]
Asleep = dict[str, Sequence[Access]]
Shows = tuple[str, str]

_LOOKED_AT, _LOOKED_AT_EARLY, _PAUSE = 20, 100, 8
"""How many branches to examine for one that need not wait for those under way; the same for a branch to be dealt early;
and, after an early search in vain, how many branches must return before the next early search."""


class Branch(NamedTuple):
    """A choice to be tried at a decision, with all that an excursion must know of the tree.

    ``path`` has the name, the virtual time and the step's digest of each edge from the root to the decision.
    ``target`` is the choice to be tried there (empty for the first branch, when nothing is known of the tree yet).
    ``reduction`` and ``preemptions`` are those of the search, the other fields those of the decision's node.
    ``touched`` and ``sleep`` are as they are when the branch is handed out: so of two branches that are tried at once,
    neither is in the sleep set of the other.
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
    """A new decision: the edge that leads to it from the one before, and the fields of its node."""

    via: str
    now: float
    cost: int
    spent: int
    options: tuple[tuple[Any, ...], ...] | None
    touched: Touched
    tried: set[str]
    sleep: Asleep


class Wanted(NamedTuple):
    """A choice to be tried at new decision *number*, with its cost and the pair of operations that it shows."""

    number: int
    choice: str
    cost: int
    shows: Shows


class Raced(NamedTuple):
    """A race, with its initials. Its earlier step was chosen at decision *number* of the path, from the root."""

    number: int
    initials: tuple[str, ...]
    shows: Shows
    delayed: bool = False


class Findings(NamedTuple):
    """The result of an excursion.

    ``met`` are the new decisions, each a child of the one before. ``notes`` are the choices to be tried at them and the
    races with steps of the path, in order. ``first`` is the footprint and the digest of the first new step.
    """

    met: list[Met]
    notes: list[Wanted | Raced]
    first: tuple[Sequence[Access], str] | None
    limited: bool
    cut: bool


class Excursion(Exhaustive):
    """Runs one branch, in one execution, of a tree that another process holds."""

    def __init__(self, branch: Branch) -> None:
        super().__init__(branch.reduction, branch.preemptions)
        # This process does not know the options at the decisions of the path, nor whether code in other branches looks
        # at file times. So every delay is tried, and file times are taken to matter.
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
        """Build the nodes of the path. They are not new, so nothing is noted at them.

        The digests are kept: ``Diverged`` is raised if another step runs on the path than before.
        """
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
        """Return the findings from *execution*, the one in which this excursion chose."""
        self._learn(execution)
        new = self._root if self._fork is None else next(iter(self._fork.children.values()), None)
        if new is not None and new.via in self._touched:
            new = None  # The target could not run; a choice that is already known ran instead.
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
    """The tree of a search by several processes: hands out branches, and adds their findings."""

    def __init__(self, reduction: bool = True, preemptions: int | None = None) -> None:
        super().__init__(reduction, preemptions)
        self._begun = False
        self._away: dict[tuple[Node, str], None] = {}
        self._out: Counter[Node] = Counter()
        self._pause = 0

    @property
    def over(self) -> bool:
        """Whether nothing is left to try, and no branch is under way that could find more."""
        return self._begun and not self._away and not self._frontier

    @property
    def complete(self) -> bool:
        """Whether every interleaving was covered and no limit was hit."""
        return self.over and not self._limited

    def _left(self) -> Iterator[Node]:
        """Yield the node of each branch that is still to be handed out or is under way."""
        yield from super()._left()
        yield from (node for node, _ in self._away)

    def branch(self, early: bool = False) -> tuple[Branch, tuple[Node, str]] | None:
        """Return the cheapest branch not yet tried, and its origin; None if all known branches are tried or under way.

        Branches that may turn out redundant once the branches under way return are put off: one is returned only if
        there is no other branch among the first ``_LOOKED_AT``, and never if *early* is true.
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
        """Return whether the findings of a branch under way could make this one, or much of it, redundant."""
        if not self._reduction:
            return False
        if self._out[node]:
            return True
        if not Choice(choice).is_fault:
            return False
        while (above := node.parent) is not None and gives_way(node.via, choice):
            if (above, choice) in self._away:
                return True
            node = above
        return False

    def take(self, origin: tuple[Node, str], findings: Findings) -> None:
        """Add the decisions found past *origin* to the tree, and note the choices to be tried because of them."""
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
        """Add the new decisions below *node* and return their nodes; none if the tree has this branch already."""
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
