"""The exhaustive search that runs nothing of which it knows what would come: it cuts at states seen before.

An execution each of whose choices was made in an equal state before can only show what was seen. It is walked through in
memory, so that the search learns all it would have learnt (which pairs race, what to try, what is asleep), and not run. Stored
states and partial-order reduction do not go together by themselves, for races across a state that is cut would be missed
(Yang, Chen, Gopalakrishnan and Kirby, "Efficient stateful dynamic partial order reduction", SPIN 2008): here nothing is missed,
since only the running is left out.
"""

from __future__ import annotations

from harness.errors import Diverged
from harness.history import Step
from harness.result import Execution
from harness.schedulers.base import View
from harness.schedulers.exhaustive import Exhaustive
from harness.schedulers.visited import Following, Names, Visited

__all__ = ["Stateful"]

_TRIAL, _WORTH = 256, 0.05
"""After so many executions the states are no longer asked for unless they spared so large a part of all."""

_AT_ONCE = 5_000
"""So many executions are walked through without running one between, for whoever waits for it wants to see it go on."""


class Stateful(Exhaustive):
    """As ``Exhaustive`` with reduction; ``foreseen`` is how many executions were not run since all of them was known."""

    def __init__(self) -> None:
        super().__init__()
        self._visited: Visited | None = Visited()
        self._ran = 0
        self.foreseen = 0

    @property
    def wants_states(self) -> bool:
        """Whether decisions are to tell their state."""
        return self._visited is not None

    def start(self, previous: Execution | None) -> bool:
        """Learn from *previous*, then turn to the cheapest thing not yet tried of which not everything is known."""
        if previous is not None and self._visited is not None:
            self._ran += 1
            if not self._visited.learn(previous):
                return self._start_over()
            if self._ran >= _TRIAL and self.foreseen < _WORTH * (self._ran + self.foreseen):
                self._visited = None
        more = super().start(previous)
        for _ in range(_AT_ONCE):
            if not (more and self._foresee()):
                break
            self.foreseen += 1
            more = self._turn()
        if self._visited is not None:
            self._visited.begin()
        return more

    def _start_over(self) -> bool:
        """States that were told to be equal are not: search anew, without them, since nobody knows what was left out."""
        Exhaustive.__init__(self)
        self._visited, self.foreseen = None, 0
        self._begin()
        return True

    def choose(self, view: View) -> str | None:
        """Choose as ``Exhaustive``, and remember what was chosen where."""
        choice = super().choose(view)
        if self._visited is not None:
            self._visited.decided(view, choice or "")
        return choice

    def ahead(self, view: View) -> int:
        """Look ahead as ``Exhaustive``, and remember how far."""
        ahead = super().ahead(view)
        if self._visited is not None:
            self._visited.ahead(ahead)
        return ahead

    def _foresee(self) -> bool:
        """Walk through the execution that is to come; return whether it is known to its end, and learn from it if so.

        Otherwise it is to be run, up to what is not known by the same way.
        """
        if self._visited is None or not self._visited.first:
            return False
        wanted = self._prefix, self._target
        walk = _Walk(self._visited)
        try:
            while walk.state:
                view = walk.view
                choice = super().choose(view)
                if choice is None:
                    break
                following = self._visited.after(walk.state, choice, super().ahead(view))
                if following is None:
                    if self._depth > len(self._prefix):
                        wanted = self._node.path(), choice
                    break
                walk.take(following)
            else:
                choice = None
            if choice is None:
                self._conclude(walk.steps, walk.causes)
                return True
        except Diverged:
            # Whether it really does will show when it is run.
            pass
        self._prefix, self._target = wanted
        self._begin()
        return False


class _Walk:
    """An execution as it would go on: its steps so far, the numbers of their causes, the state it stands in, 0 at its end."""

    def __init__(self, visited: Visited) -> None:
        self._visited = visited
        self._names = Names()
        self._numbers: dict[tuple[int, int, int], int] = {}
        self.steps: list[Step] = []
        self.causes: list[int] = []
        self.state = visited.first

    @property
    def view(self) -> View:
        """What a scheduler sees there."""
        return self._visited.view(self.state, self.steps)

    def take(self, following: Following) -> None:
        """Go on."""
        for step, cause in zip(following.steps, following.causes, strict=True):
            self._numbers[self._names.add(step)] = len(self.steps)
            self.causes.append(self._numbers.get(cause, -1))
            self.steps.append(step)
        self.state = following.state
