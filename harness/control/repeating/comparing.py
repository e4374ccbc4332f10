"""Compares executions: the first pair of steps in another order, the step that came between, the steps that repeat.

One exchanged pair of operations tells a failing from a passing schedule best: the idea is that of Hermit (Facebook's
deterministic container).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

from harness.result import Execution
from harness.schedulers.tree.dependence import is_event
from harness.values.explanation import Conflict, Exchange, Named, Place, weight
from harness.values.history import Access, Step
from harness.values.names import Resource, Task

__all__ = ["conflicts", "effective", "exchange", "intruding", "named", "overlapping", "passes", "repeated"]

_LAST = 200
"""Steps at the end of an endless execution that are searched for its loop."""
_EVERYTHING = "*"
"""What a fault touches: it makes steps dependent, but the code under test does not share it on purpose."""


def effective(steps: Sequence[Step]) -> list[Step]:
    """Return *steps* without those that only met somebody else's lock."""
    return [step for step in steps if is_event(step)]


def conflicts(first: Step, second: Step) -> tuple[Conflict, ...]:
    """Return where two steps of different tasks meet: data before locks, the memory of their worker only if nothing else."""
    if first.task.client == second.task.client:
        return ()
    found = {
        Conflict(one.resource, one.mode, other.mode)
        for one in first.accesses
        for other in second.accesses
        if one.resource == other.resource
        and _conflict(one.mode, other.mode)
        and one.what.is_shared
        and one.resource != _EVERYTHING
    }
    strongest: dict[str, Conflict] = {}
    for each in sorted(found, key=lambda each: (each.first, each.second)):
        strongest[each.resource] = each
    if not strongest and first.worker == second.worker:
        return tuple(
            Conflict(one.resource, one.mode, one.mode)
            for one in first.accesses
            if one.what.is_memory and one in second.accesses
        )
    return tuple(sorted(strongest.values(), key=lambda each: (not Resource(each.resource).is_data, each.resource)))


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
    """Return the pair of steps that is the first difference between two executions, if its order tells them apart.

    Up to the pair they are equal, so either step could be next; the two steps conflict, and both executions have both.
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
    *,
    opening: Exchange | None,
    closing: Exchange | None,
) -> Named | None:
    """Return the step of *group* that came between, best one that conflicts with both ends of the window."""
    ends = [end.step for end in (opens, closes) if end is not None]
    deciding = [*([closing.first] if closing else []), *([opening.second] if opening else [])]
    inside = {each.number for each in group}
    deciding = [each for each in deciding if each.number in inside]
    candidates = deciding or sorted(group, key=lambda each: not _writes_data(each.step.accesses))
    return max(candidates, key=lambda each: sum(weight(conflicts(each.step, end)) for end in ends), default=None)


def _writes_data(accesses: Sequence[Access]) -> bool:
    return any(access.writes_data for access in accesses)


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
        if Task(one).was_started and Task(one).family == Task(other).family
    )
