"""Visited states (``View.state``), with the steps that followed each choice in each state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from harness.result import Execution
from harness.schedulers.base import View
from harness.values.history import Step

__all__ = ["Following", "Name", "Names", "Visited"]

_MOST = 200_000
"""How many states, and how many choices, are remembered at most: each takes some 3 KB of memory."""

Name = tuple[int, int, int]
"""A step's identity, the same in every interleaving: process, number of kills before, step number since the last."""

NOBODY: Name = (-1, -1, -1)


class Names:
    """Names the steps of an execution. A number that no step has gets the name ``NOBODY``."""

    def __init__(self) -> None:
        self._names: list[Name] = []
        self._lives: dict[int, int] = {}
        self._counts: dict[int, int] = {}

    def add(self, step: Step) -> Name:
        """Add *step*, the next one, and return its name."""
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
        """Return the name of step *number*, or ``NOBODY`` if there is no such step."""
        return self._names[number] if 0 <= number < len(self._names) else NOBODY


class _Decision(NamedTuple):
    """The state, the choice, and how many more steps the task was allowed to make without asking."""

    state: int
    choice: str
    ahead: int


class Following(NamedTuple):
    """The steps that follow a choice, the names of their causes, and the state of the next decision.

    At the end of the execution, ``state`` is 0 and ``told`` is a digest of the clients' answers.
    """

    steps: tuple[Step, ...]
    causes: tuple[Name, ...]
    state: int
    told: int


class Visited:
    """The visited states. Learns from executions that ran to their end and from those abandoned as redundant."""

    def __init__(self) -> None:
        self._after: dict[tuple[int, str], dict[int, Following]] = {}
        """For each state and choice: the result, by the allowed number of steps without asking.

        That number is part of the key because the next decision depends on it.
        """
        self._views: dict[int, View] = {}
        self._decisions: list[tuple[int, _Decision]] = []
        self._unsure = False
        self.first = 0
        """The state of the first decision of every execution."""

    def __repr__(self) -> str:
        return f"<Visited states={len(self._views)} choices={len(self._after)}>"

    def begin(self) -> None:
        """Prepare for the decisions of a new execution."""
        self._decisions = []
        self._unsure = False

    def decided(self, view: View, choice: str) -> None:
        """Record that *choice* was made in *view*; an empty choice abandons the execution."""
        state = view.state
        if state and state not in self._views and len(self._views) < _MOST:
            self._views[state] = view._replace(steps=())
        self._unsure |= state not in self._views
        self._decisions.append((len(view.steps), _Decision(state, choice, 0)))

    def ahead(self, times: int) -> None:
        """Record that the task last chosen may make *times* more steps without asking."""
        number, decision = self._decisions[-1]
        self._decisions[-1] = number, decision._replace(ahead=times)

    def learn(self, execution: Execution) -> bool:
        """Remember the steps that followed each choice of *execution*, which just ended.

        Return False if other steps followed a choice than before in the same state: then states with equal fingerprints
        are not equal. Executions that failed, were overruled after too many steps, or got stuck are ignored, and so is
        one with a decision whose state is unknown.
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
        """Return the result of *choice* in *state* with up to *ahead* more steps without asking; None if it is unknown.

        If the result is known only for fewer steps without asking, that is returned: the task can be chosen again after
        them.
        """
        known = self._after.get((state, choice), {})
        farthest = max((times for times in known if times <= ahead), default=-1)
        return known.get(farthest)


def _told(execution: Execution) -> int:
    ends = [(event.client, event.call, event.kind, repr(event.value), event.error) for event in execution.history]
    return hash(tuple(sorted(ends)))
