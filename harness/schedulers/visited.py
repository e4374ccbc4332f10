"""What executions have shown to follow on each choice in each state (``View.state``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from harness.history import Step
from harness.result import Execution
from harness.schedulers.base import View

__all__ = ["Following", "Name", "Names", "Visited"]

_MOST = 200_000
"""So many states are remembered, and so many choices: at some 3 KB each, all that a machine should spend on it."""

Name = tuple[int, int, int]
"""What a step is called whatever the others did: its process, how often that was killed before, its number since then."""

NOBODY: Name = (-1, -1, -1)


class Names:
    """Names the steps of an execution; a number that is none of theirs is nobody's."""

    def __init__(self) -> None:
        self._names: list[Name] = []
        self._lives: dict[int, int] = {}
        self._counts: dict[int, int] = {}

    def add(self, step: Step) -> Name:
        """Name *step*, the next one."""
        worker = -1 if step.kind == "delay" else step.worker
        if step.kind == "kill":
            self._lives[worker] = self._lives.get(worker, 0) + 1
            self._counts[worker] = 0
        number = self._counts.get(worker, 0)
        self._counts[worker] = number + 1
        name = worker, self._lives.get(worker, 0), number
        self._names.append(name)
        return name

    def of(self, number: int) -> Name:
        """Return the name of step *number*."""
        return self._names[number] if 0 <= number < len(self._names) else NOBODY


class _Decision(NamedTuple):
    """In which state, which choice, and how often its task was to go on unasked."""

    state: int
    choice: str
    ahead: int


class Following(NamedTuple):
    """The steps that come of a choice, the names of their causes, and the state of the next decision.

    At the end that is 0, and ``told`` is a digest of what the clients were told until then.
    """

    steps: tuple[Step, ...]
    causes: tuple[Name, ...]
    state: int
    told: int


class Visited:
    """Learns from executions that were run to their end, and from those that were given up as redundant."""

    def __init__(self) -> None:
        self._after: dict[tuple[int, str], dict[int, Following]] = {}
        """By how often the task was to go on unasked, which decides where the next decision is."""
        self._views: dict[int, View] = {}
        self._decisions: list[tuple[int, _Decision]] = []
        self._unsure = False
        self.first = 0
        """The state of the first decision of every execution."""

    def __repr__(self) -> str:
        return f"<Visited states={len(self._views)} choices={len(self._after)}>"

    def begin(self) -> None:
        """An execution begins."""
        self._decisions = []
        self._unsure = False

    def decided(self, view: View, choice: str) -> None:
        """*choice* was made in *view*; an empty one gives the execution up."""
        state = view.state
        if state and state not in self._views and len(self._views) < _MOST:
            self._views[state] = view._replace(steps=())
        self._unsure |= state not in self._views
        self._decisions.append((len(view.steps), _Decision(state, choice, 0)))

    def ahead(self, times: int) -> None:
        """The task last chosen is to go on so many *times* unasked."""
        number, decision = self._decisions[-1]
        self._decisions[-1] = number, decision._replace(ahead=times)

    def learn(self, execution: Execution) -> bool:
        """Remember what followed on each choice of *execution*, which just ended.

        Returns False where what followed is not what followed before: then states that are told to be equal are not.
        """
        decisions = self._decisions
        if self._unsure or not decisions or execution.failure or execution.bounded or execution.stuck:
            return True
        names = Names()
        called = [names.add(step) for step in execution.steps]
        causes = [called[cause] if cause >= 0 else NOBODY for cause in execution.causes]
        self.first = decisions[0][1].state
        ends = [*decisions[1:], (len(called), _Decision(0, "", 0))]
        for (start, decision), (end, then) in zip(decisions, ends, strict=True):
            if not decision.choice:
                break
            told = 0 if then.state else _told(execution)
            following = Following(execution.steps[start:end], tuple(causes[start:end]), then.state, told)
            if len(self._after) < _MOST:
                known = self._after.setdefault((decision.state, decision.choice), {})
                if known.setdefault(decision.ahead, following) != following:
                    return False
        return True

    def view(self, state: int, steps: Sequence[Step]) -> View:
        """Return the decision in *state*, after *steps*."""
        return self._views[state]._replace(steps=steps)

    def after(self, state: int, choice: str, ahead: int) -> Following | None:
        """Return what follows on *choice* in *state*, if its task may go on so often unasked; None where nobody knows.

        It may be less: how the task goes on less often unasked, for it can be chosen again.
        """
        known = self._after.get((state, choice), {})
        farthest = max((times for times in known if times <= ahead), default=-1)
        return known.get(farthest)


def _told(execution: Execution) -> int:
    ends = [(event.client, event.call, event.kind, repr(event.value), event.error) for event in execution.history]
    return hash(tuple(sorted(ends)))
