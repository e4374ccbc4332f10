"""The exhaustive search with visited states: an execution is predicted, not run, if all its states are known.

If each choice of an execution was made in an equal state before, the execution can only show what was seen already. It
is walked through in memory instead of run, so that the search learns all that it would have learnt (races, choices to
try, sleep sets). Stored states and partial-order reduction can't simply be combined: races across a state at which the
search is cut would be missed (Yang, Chen, Gopalakrishnan and Kirby, "Efficient stateful dynamic partial order
reduction", SPIN 2008). Here no race is missed, because only the running is left out.
"""

from __future__ import annotations

from dataclasses import replace

from harness.errors import Diverged
from harness.result import Execution
from harness.schedulers.base import SearchReport, View
from harness.schedulers.tree.exhaustive import Exhaustive
from harness.schedulers.tree.visited import Following, Names, Visited
from harness.values.history import Step

__all__ = ["Stateful"]

_TRIAL, _WORTH = 256, 0.05
"""After this many runs, states are no longer asked for unless they have spared this part of all executions."""

_AT_ONCE = 5_000
"""How many executions are predicted at most before one is run, so that progress is shown."""


class Stateful(Exhaustive):
    """As ``Exhaustive`` with reduction; ``predicted`` is the number of executions predicted and so not run."""

    def __init__(self) -> None:
        super().__init__()
        self._visited: Visited | None = Visited()
        self._ran = 0
        self.predicted = 0

    @property
    def wants_states(self) -> bool:
        """Whether the search needs the state of each decision."""
        return self._visited is not None

    def report(self) -> SearchReport:
        """Return the report of the exhaustive search, with the number of executions that were predicted."""
        return replace(super().report(), predicted=self.predicted)

    def start(self, previous: Execution | None) -> bool:
        """Learn from *previous*, then turn to the cheapest choice not yet tried that can't be predicted."""
        if previous is not None and self._visited is not None:
            self._ran += 1
            if not self._visited.learn(previous):
                return self._start_over()
            if self._ran >= _TRIAL and self.predicted < _WORTH * (self._ran + self.predicted):
                self._visited = None
        more = super().start(previous)
        for _ in range(_AT_ONCE):
            if not (more and self._foresee()):
                break
            self.predicted += 1
            more = self._turn()
        if self._visited is not None:
            self._visited.begin()
        return more

    def _start_over(self) -> bool:
        """Restart the search without states, because two states with equal fingerprints were different.

        So some predicted executions may have been wrong, and it is not known which.
        """
        Exhaustive.__init__(self)
        self._visited, self.predicted = None, 0
        self._begin()
        return True

    def choose(self, view: View) -> str | None:
        """Choose as ``Exhaustive`` does, and record the choice with the state."""
        choice = super().choose(view)
        if self._visited is not None:
            self._visited.decided(view, choice or "")
        return choice

    def ahead(self, view: View) -> int:
        """Look ahead as ``Exhaustive`` does, and record how far."""
        ahead = super().ahead(view)
        if self._visited is not None:
            self._visited.ahead(ahead)
        return ahead

    def _foresee(self) -> bool:
        """Predict the next execution; return whether it is known to its end, and learn from it if so.

        If it is not, it is to be run. Its prefix then leads by the same choices to the first one with an unknown
        result.
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
            # The prediction diverges. Run the execution to see whether it really does.
            pass
        self._prefix, self._target = wanted
        self._begin()
        return False


class _Walk:
    """A predicted execution: its steps so far, the numbers of their causes, and its state (0 at its end)."""

    def __init__(self, visited: Visited) -> None:
        self._visited = visited
        self._names = Names()
        self._numbers: dict[tuple[int, int, int], int] = {}
        self.steps: list[Step] = []
        self.causes: list[int] = []
        self.state = visited.first

    @property
    def view(self) -> View:
        """The view of the next decision."""
        return self._visited.view(self.state, self.steps)

    def take(self, following: Following) -> None:
        """Add the steps of *following* and move to its state."""
        for step, cause in zip(following.steps, following.causes, strict=True):
            self._numbers[self._names.add(step)] = len(self.steps)
            self.causes.append(self._numbers.get(cause, -1))
            self.steps.append(step)
        self.state = following.state
