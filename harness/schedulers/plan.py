"""A plan, which is an execution as a list of parts that can be edited, and the scheduler that follows one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from harness.result import Execution
from harness.schedulers.base import Option, View, by_default
from harness.values.history import Step
from harness.values.names import Choice

__all__ = ["Atom", "Planned", "atoms", "without"]


class Atom(NamedTuple):
    """One step of a plan: the task, and the choice ("" for any next step of the task).

    ``ends`` is true if the task's block ends here because the task can't continue: a run of the plan continues it until
    then.
    """

    task: str
    choice: str
    ends: bool = False

    @property
    def fault(self) -> bool:
        """Whether the step is a fault."""
        return Choice(self.choice).is_fault


def atoms(steps: Sequence[Step]) -> tuple[Atom, ...]:
    """Return *steps* as a plan that repeats them."""
    found = []
    for step, after in zip(steps, (*steps[1:], None), strict=True):
        task = step.task.client
        goes_on = after is not None and (after.preempts or after.is_fault or after.task.client == task)
        found.append(Atom(task, step.choice, not goes_on))
    return tuple(found)


def without(plan: Sequence[Atom], fault: int) -> tuple[Atom, ...]:
    """Return *plan* without its atom number *fault*; the task before it then continues until it can't."""
    before = list(plan[:fault])
    if before and not before[-1].fault:
        before[-1] = before[-1]._replace(ends=True)
    return (*before, *plan[fault + 1 :])


class _Leg(NamedTuple):
    task: str
    choices: tuple[str, ...]
    goes_on: bool
    fault: bool


class Planned:
    """Makes a plan's steps in order, or the task's next step where a choice isn't possible; then runs the default.

    So a plan can still be followed if an edit makes a task do something else or take longer. A fault that can't be
    injected is left out.
    """

    name = "planned"

    def __init__(self, plan: Sequence[Atom]) -> None:
        self._legs: list[_Leg] = []
        for (task, fault), group in groupby(plan, lambda atom: (atom.task, atom.fault)):
            leg = list(group)
            parts = [[atom] for atom in leg] if fault else [leg]
            self._legs += [_Leg(task, tuple(atom.choice for atom in part), part[-1].ends, fault) for part in parts]
        self._leg = self._began = 0

    def start(self, previous: Execution | None) -> bool:
        """Return True for the first execution only."""
        return previous is None

    def choose(self, view: View) -> str | None:
        """Return the plan's next choice that is possible, else the default."""
        number = len(view.steps)
        while self._leg < len(self._legs):
            leg, made = self._legs[self._leg], number - self._began
            if made < len(leg.choices) or (leg.goes_on and not leg.fault):
                wanted = leg.choices[made] if made < len(leg.choices) else ""
                if option := _option(leg, wanted, view.options):
                    return option.choice
            self._leg, self._began = self._leg + 1, number
        return by_default(view)


def _option(leg: _Leg, wanted: str, options: Sequence[Option]) -> Option | None:
    """Return the option *wanted*, or else another step, or the same kind of fault, of the leg's task, or None.

    Timers of the task do not count: a timer that is due is a task of its own, as it is when preemptions are counted.
    """
    kind = Choice(wanted).head
    for option in options:
        if option.choice == wanted:
            return option
    for option in options:
        same = option.fault == leg.fault and leg.task and option.task.client == leg.task
        if same and (Choice(option.choice).head == kind if leg.fault else not Choice(option.choice).is_timers):
            return option
    return None
