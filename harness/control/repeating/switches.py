"""The switches of an execution from one task to another, each as a plan around it that can be edited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from harness.schedulers.plan import Atom
from harness.values.history import Step

__all__ = ["Cut", "cuts"]

_PROBE = "probe"


class Cut(NamedTuple):
    """A plan around a switch: the atoms *before*, the *run* of one task, the *group* that interrupts it, the atoms *after*.

    The first ``done`` of *run* stand before the group. Faults may stand in a run, too.
    """

    at: int
    preempts: bool
    task: str
    before: tuple[Atom, ...]
    run: tuple[Atom, ...]
    done: int
    group: tuple[Atom, ...]
    after: tuple[Atom, ...]
    numbers: range
    """The numbers of the group's steps."""

    @property
    def made(self) -> int:
        """How many steps of its own the interrupted task makes before the group."""
        return sum(not atom.fault for atom in self.run[: self.done])

    def part(self, steps: int) -> tuple[tuple[Atom, ...], tuple[Atom, ...]]:
        """Return ``run`` in two, the first with so many *steps* of the task, made longer by unknown ones if need be."""
        if steps == self.made:
            return self.run[: self.done], self.run[self.done :]
        seen = 0
        for place, atom in enumerate(self.run):
            if seen == steps:
                return self.run[:place], self.run[place:]
            seen += not atom.fault
        return (*self.run, *(Atom(self.task, "") for _ in range(steps - seen))), ()

    def plan(self, early: int) -> tuple[Atom, ...]:
        """Return the plan with *early* steps of the run first, then the group."""
        first, rest = self.part(early)
        return (*self.before, *first, *self.group, *rest, *self.after)

    def split(self, early: int, group: int, late: int) -> tuple[Atom, ...]:
        """Return the plan with *early* steps of the run, *group* of the group, the run up to *late*, and the rest of both."""
        return self.crossing(early, group, late, late=late)

    def crossing(self, early: int, group: int, middle: int, *, late: int) -> tuple[Atom, ...]:
        """Return ``split(early, group, late)``, with one more step of the group where the run is at *middle*, if not *late*."""
        until, rest = self.part(late)
        start = len(self.part(early)[0])
        between = len(self.part(middle)[0]) if middle < late else len(until)
        more = 1 if middle < late else 0
        return (
            *self.before,
            *until[:start],
            *self.group[:group],
            *until[start:between],
            *self.group[group : group + more],
            *until[between:],
            *self.group[group + more :],
            *rest,
            *self.after,
        )


def cuts(steps: Sequence[Step], plan: Sequence[Atom]) -> list[Cut]:
    """Return every switch of *steps* from one task to another, each with the *plan* around it."""
    found = []
    for number in range(1, len(steps)):
        if plan[number].fault or plan[number].task == _PROBE:
            continue
        before = next((atom.task for atom in reversed(plan[:number]) if not atom.fault), plan[number].task)
        if before != plan[number].task:
            found.append(_cut(steps, plan, number, task=before))
    return found


def _cut(steps: Sequence[Step], plan: Sequence[Atom], at: int, *, task: str) -> Cut:
    first = at
    while first and plan[first - 1].fault and plan[first - 1].task != task:
        first -= 1
    start = first
    while start and (plan[start - 1].task == task or plan[start - 1].fault):
        start -= 1
    end = next((n for n in range(at, len(plan)) if plan[n].task in (task, _PROBE) and not plan[n].fault), len(plan))
    after = end
    while after < len(plan) and plan[after].task == task:
        after += 1
    run = (*plan[start:first], *plan[end:after])
    before, group, rest = tuple(plan[:start]), tuple(plan[first:end]), tuple(plan[after:])
    return Cut(at, steps[at].preempts, task, before, run, first - start, group, rest, range(first, end))
