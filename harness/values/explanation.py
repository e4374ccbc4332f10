"""Why a minimal failing execution fails: race windows, the pair of steps whose order decides, the faults that it takes.

Everything here is a value or a pure function; ``harness/control/repeating/neighbours.py`` runs the neighbours. That one
exchanged pair of operations tells a failing from a passing schedule best is after Hermit (Facebook's deterministic container).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import NamedTuple

from harness.result import Execution
from harness.schedulers.plan import Atom, story
from harness.schedulers.tree.dependence import is_event
from harness.values.history import Access, Step
from harness.values.schedule import Schedule

__all__ = [
    "ERRORS", "Conflict", "Cut", "Exchange", "Explanation", "FaultRole", "Named", "Place", "Window", "conflicts", "cuts",
    "effective", "exchange", "intruding", "named", "overlapping",
    "passes", "repeated",
]  # fmt: skip

ERRORS = ("busy", "full", "io", "lost")
"""Faults that an operation ends with; the others befall a task, a worker, a message or the clock between two steps."""

_PROBE = "probe"
_LAST = 200
"""Steps at the end of an endless execution that are taken for its loop."""
_HIDDEN = ("process:", "history", "clock", "dated", "dates", "client:", "*")
"""What makes steps dependent for the search, but is nothing that the code under test shares on purpose."""


class Named(NamedTuple):
    """A step, and its ``number`` in the counterexample (None: it is only in a neighbour of it).

    ``statement`` is the one whose rows it fetches, if it is a fetch.
    """

    step: Step
    number: int | None
    statement: Step | None = None


class Conflict(NamedTuple):
    """Two steps meet at a *resource*: what the first does to it, and the second (``r``, ``w``)."""

    resource: str
    first: str
    second: str


class Place(NamedTuple):
    """Something was moved by so many steps (less than 0: earlier): ``outcome`` is ``fails``, ``passes`` or ``impossible``."""

    by: int
    outcome: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """Two schedules equal up to a decision: where ``first`` is next it fails, where ``second`` is next it passes.

    ``common`` is how many choices *passing* has in common with the counterexample before they part.
    """

    first: Named
    second: Named
    conflicts: tuple[Conflict, ...]
    failing: Schedule
    passing: Schedule
    common: int


@dataclass(frozen=True, slots=True)
class Window:
    """Where one task may come between two steps of another so that it fails.

    ``at`` is the number of the step that took over, ``preempts`` whether it did so from a task that could have gone on.
    ``opens`` is the last step that the interrupted task must have made, ``closes`` the first that it must not (None: there
    is no such). ``intruding`` is the step that came between. ``places`` says what became of moving the switch.
    ``opening`` and ``closing`` are the pairs whose order decides at either end.
    """

    at: int
    preempts: bool
    opens: Named | None
    closes: Named | None
    intruding: Named | None
    places: tuple[Place, ...]
    opening: Exchange | None = None
    closing: Exchange | None = None


@dataclass(frozen=True, slots=True)
class FaultRole:
    """What one fault, step number ``at``, has to do with it.

    ``essential`` says that nothing tried without it breaks the same rule (None: not tried), ``instead`` which other one
    broke, if any. ``after`` and ``before`` are the steps between
    which it must fall, as far as its place matters.
    """

    at: int
    essential: bool | None
    after: Named | None
    before: Named | None
    places: tuple[Place, ...]
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """See the module's text.

    Of ``neighbours`` distinct schedules that were run beside the counterexample ``failing`` fail, ``otherwise`` of them by
    another rule. ``executions`` is what it took, ``cut_short`` why not all was tried. ``overlap`` says that calls, or a
    call's tasks, overlapped.
    ``run_executions`` and ``run_failures`` are those of the run that found it. ``alone`` says whether the same calls fail, too,
    one after another in one worker (None: not tried). ``repeats`` are the steps that an execution without end goes on making.
    """

    windows: tuple[Window, ...]
    faults: tuple[FaultRole, ...]
    overlap: bool
    neighbours: int
    failing: int
    otherwise: int
    executions: int
    seconds: float
    cut_short: str = ""
    run_executions: int = 0
    run_failures: int = 0
    alone: bool | None = None
    repeats: tuple[Named, ...] = ()

    @property
    def critical(self) -> Exchange | None:
        """The pair of steps whose order decides, and the nearest passing schedule; one that meets at data before others."""
        found = [pair for window in self.windows for pair in (window.closing, window.opening) if pair is not None]
        return max(found, key=lambda pair: (_weight(pair.conflicts), pair.common), default=None)


# --- schedules in parts ---------------------------------------------------------------------------


class Cut(NamedTuple):
    """A plan around a switch: what was *before*, the *run* of one task, the *group* that interrupts it there, what is *after*.

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
        return self.crossing(early, group, late, late)

    def crossing(self, early: int, group: int, middle: int, late: int) -> tuple[Atom, ...]:
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
            found.append(_cut(steps, plan, number, before))
    return found


def _cut(steps: Sequence[Step], plan: Sequence[Atom], at: int, task: str) -> Cut:
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


# --- comparing ------------------------------------------------------------------------------------


def effective(steps: Sequence[Step]) -> list[Step]:
    """Return *steps* without those that only met somebody else's lock."""
    return [step for step in steps if is_event(step)]


def conflicts(first: Step, second: Step) -> tuple[Conflict, ...]:
    """Return where two steps of different tasks meet: data before locks, the memory of their worker only if nothing else."""
    if story(first.lane) == story(second.lane):
        return ()
    found = {
        Conflict(one.resource, one.mode, other.mode)
        for one in first.accesses
        for other in second.accesses
        if one.resource == other.resource and _conflict(one.mode, other.mode) and not one.resource.startswith(_HIDDEN)
    }
    strongest: dict[str, Conflict] = {}
    for each in sorted(found, key=lambda each: (each.first, each.second)):
        strongest[each.resource] = each
    if not strongest and first.worker == second.worker:
        return tuple(
            Conflict(one.resource, one.mode, one.mode)
            for one in first.accesses
            if one.resource.startswith("process:") and one in second.accesses
        )
    return tuple(sorted(strongest.values(), key=lambda each: (not each.resource.startswith("data:"), each.resource)))


def _conflict(first: str, second: str) -> bool:
    return "w" in (first, second) or {first, second} == {"a", "r"}


def named(step: Step, of: Sequence[Step], counterexample: Sequence[Step]) -> Named:
    """Return *step*, one of the steps *of* some execution, with its number in *counterexample*, if it is there too."""
    place = next(number for number, other in enumerate(of) if other is step)
    before = sum(other.digest == step.digest for other in of[:place])
    same = [number for number, other in enumerate(counterexample) if other.digest == step.digest]
    same = [number for number in same if is_event(counterexample[number])] or same
    statement = None
    if step.kind == "fetch":
        own = [other for other in of[:place] if other.lane == step.lane and other.kind == "sql"]
        statement = own[-1] if own else None
    return Named(step, same[before] if before < len(same) else None, statement)


def exchange(failing: Execution, passing: Execution, counterexample: Sequence[Step]) -> Exchange | None:
    """Return the pair whose order is the first difference between two executions, if that is what tells them apart.

    Up to there they are equal, so either step could be next; the two conflict, and each comes in both.
    """
    one, other = effective(failing.steps), effective(passing.steps)
    place = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a.digest != b.digest), None)
    if place is None:
        return None
    first, second = one[place], other[place]
    again = _next_of(second, one[place:])
    if again is None or _next_of(first, other[place:]) is None:
        return None
    meets = conflicts(first, again) or conflicts(first, second)
    if not meets:
        return None
    where = other if again is second else one
    common = next(
        (n for n, step in enumerate(counterexample) if passing.schedule.choices[n : n + 1] != (step.choice,)), 0
    )
    return Exchange(
        named(first, one, counterexample), named(again, where, counterexample), meets, failing.schedule, passing.schedule,
        common,
    )  # fmt: skip


def _next_of(step: Step, steps: Sequence[Step]) -> Step | None:
    """Return the next step of the task of *step* among *steps* if it is the same operation, or *step* where they break off."""
    found = next((other for other in steps if other.lane == step.lane), step)
    return found if (found.kind, found.text) == (step.kind, step.text) else None


def intruding(
    group: Sequence[Named],
    opens: Named | None,
    closes: Named | None,
    opening: Exchange | None,
    closing: Exchange | None,
) -> Named | None:
    """Return the step of *group* that came between, best one that conflicts with both ends of the window."""
    ends = [end.step for end in (opens, closes) if end is not None]
    deciding = [*([closing.first] if closing else []), *([opening.second] if opening else [])]
    inside = {each.number for each in group}
    deciding = [each for each in deciding if each.number in inside]
    candidates = deciding or sorted(group, key=lambda each: not _writes_data(each.step.accesses))
    return max(candidates, key=lambda each: sum(_weight(conflicts(each.step, end)) for end in ends), default=None)


def _weight(meets: Sequence[Conflict]) -> int:
    return 2 if any(each.resource.startswith("data:") for each in meets) else bool(meets)


def _writes_data(accesses: Sequence[Access]) -> bool:
    return any(access.mode == "w" and access.resource.startswith("data:") for access in accesses)


def repeated(steps: Sequence[Step]) -> tuple[Named, ...]:
    """Return the distinct steps among the last ones of an execution that does not end, each where it was made last."""
    last: dict[tuple[str, str, str, str], int] = {}
    for number in range(max(0, len(steps) - _LAST), len(steps)):
        step = steps[number]
        last[step.lane, step.kind, step.text, str(step.source)] = number
    return tuple(Named(steps[number], number) for number in sorted(last.values(), key=lambda n: (steps[n].lane, n)))


def passes(places: Sequence[Place]) -> bool:
    """Return whether the last of *places*, in the order in which they were tried, lets the execution pass."""
    return bool(places) and places[-1].outcome == "passes"


def overlapping(execution: Execution) -> bool:
    """Return whether a call began while another one was under way, or tasks that one call had started took turns."""
    under_way: set[tuple[str, int]] = set()
    for event in execution.history:
        key = event.client, event.call
        if event.kind != "invoke":
            under_way.discard(key)
        elif under_way:
            return True
        else:
            under_way.add(key)
    return _tasks_took_turns(execution.steps)


def _tasks_took_turns(steps: Sequence[Step]) -> bool:
    """Whether of two tasks of one client, neither of which started the other, one began before the other's last step."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for number, step in enumerate(steps):
        first.setdefault(step.lane, number)
        last[step.lane] = number
    return any(
        first[one] < first[other] < last[one] and not f"{other}/".startswith(f"{one}/")
        for one, other in permutations(first, 2)
        if "/" in one and one.partition("/")[0] == other.partition("/")[0]
    )
