"""Replays a recorded race on the current code, by the operations of its tasks and not by the numbers of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from harness.errors import BadInput
from harness.interleaving import parse_calls, result_of
from harness.result import Execution
from harness.scenario import Scenario, Workload
from harness.schedulers.base import Scheduler
from harness.schedulers.plan import Atom, Planned, atoms
from harness.values.history import Step

__all__ = ["Leg", "check", "legs_of", "plan_of"]

Leg = tuple[str, str, int, str]
"""A task, a choice, how often it was made in a row, and what came then: it was ``left``, or went on to its ``end``."""

_ENDS = {True: "end", False: "left"}


def legs_of(steps: Sequence[Step]) -> list[Leg]:
    """Return *steps* as legs, which ``plan_of`` turns back into a plan."""
    found: list[Leg] = []
    for (task, choice), group in groupby(atoms(steps), key=lambda atom: (atom.task, atom.choice)):
        leg = list(group)
        found.append((task, choice, len(leg), _ENDS[leg[-1].ends]))
    return found


def plan_of(legs: Sequence[Leg]) -> tuple[Atom, ...]:
    """Return the plan that *legs* describe; raises ``BadInput`` if one of them can't be read."""
    plan: list[Atom] = []
    for leg in legs:
        try:
            task, choice, times, then = leg
            if not (0 < times <= 100_000 and then in _ENDS.values() and ":" in choice):
                raise ValueError
        except (TypeError, ValueError):
            raise BadInput(
                f"The leg {leg!r} of a recorded race can't be read: it is (task, choice, times, 'end' or 'left'), for "
                "example ('c0', 'w0:c0', 3, 'left'). Was it edited by hand?"
            ) from None
        plan += [Atom(task, choice)] * (times - 1)
        plan.append(Atom(task, choice, then == "end"))
    return tuple(plan)


def check(
    scenario: Scenario, *, legs: Sequence[Leg], calls: str, workers: int = 2, seed: int = 0
) -> tuple[Execution, ...]:
    """Make a recorded race again; return the executions, in which every rule held.

    *legs* are what ``harness replay FILE --export test`` wrote, *calls* the workload as ``Interleaving.of`` takes it, *seed*
    that of the code under test. It is made twice, in fresh processes: the very choices, as far as they can be made,
    and task by task, each as far as it had come. Raises ``RaceFound`` if a rule is broken, ``Undecided`` if nothing can be
    said, ``BadInput`` for legs or calls that can't be read.
    """
    __tracebackhide__ = True
    from harness.control.repeating.shrink import Following
    from harness.control.testbed.testbed import open_testbed
    from harness.racing import judge
    from harness.values.redaction import redacted

    plan = plan_of(legs)
    workload = Workload(parse_calls(calls), workers)
    ways: tuple[Scheduler, ...] = (Following([atom.choice for atom in plan]), Planned(plan))
    found = []
    with open_testbed(scenario.allowing(atom.choice for atom in plan), workers, seed=seed, isolation="fork") as stage:
        for way in ways:
            found.append(redacted(stage.driver.run(way, workload), scenario.secrets)[0])
    for execution in found:
        judge(result_of(scenario, execution, workers))
    return tuple(found)
