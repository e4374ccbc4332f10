"""Moves a fault of a minimal failing execution, and leaves it out, to find out which part it plays in the failure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.control.repeating.comparing import named, passes
from harness.result import Execution, Failure
from harness.schedulers.plan import Atom, without
from harness.values.explanation import ERRORS, FaultRole, Named, Place
from harness.values.names import Choice

__all__ = ["FaultMover"]

_FURTHEST = 24
"""The most steps over which a fault is moved."""


class FaultMover:
    """Runs a failing execution with one of its faults moved or left out.

    *plan* is the plan of *failed*, and *run* returns the execution of a plan, or None if it can't be run or judged.
    """

    def __init__(
        self, failed: Execution, plan: Sequence[Atom], run: Callable[[Sequence[Atom]], Execution | None]
    ) -> None:
        assert failed.failure is not None
        self._failed, self._sort, self._plan, self._run = failed, failed.failure.sort, tuple(plan), run

    def role(self, at: int) -> FaultRole:
        """Return the role of the fault at step *at*: leave it out, and move it until the execution passes."""
        plan, step = self._plan, self._failed.steps[at]
        victim = self._victim(at)
        left_out = [self._run((*plan[:at], *plan[at + 1 :])), self._run(without(plan, at))]
        tried = None not in left_out
        broken = [execution.failure for execution in left_out if execution is not None]
        others = [each for each in broken if each is not None and each.sort != self._sort]
        earlier, first = self._earlier(at, victim)
        later, last = self._later(at, victim)
        after = before = None
        if step.kind not in ERRORS:
            after, before = first if passes(earlier) else None, last if passes(later) else None
        return FaultRole(
            at=at,
            essential=_is_essential(broken, others, tried=tried),
            after=after,
            before=before,
            places=(*reversed(earlier), Place(0, "fails"), *later),
            instead=(others[0].rule or others[0].kind) if others else "",
        )

    def _victim(self, at: int) -> str:
        """Return the task that the fault at step *at* befalls, empty if it befalls none in particular."""
        fault = self._failed.steps[at]
        if fault.kind != "kill":
            return "" if fault.worker < 0 else fault.task.client
        steps = [step for step in self._failed.steps[:at] if step.worker == fault.worker]
        return steps[-1].task.client if steps else ""

    def _earlier(self, at: int, victim: str) -> tuple[list[Place], Named | None]:
        """Move the fault back over earlier steps; return the places, and the step that must precede it.

        A fault that befalls a task is moved over the steps of that task only.
        """
        plan, steps = self._plan, self._failed.steps
        places: list[Place] = []
        own = [n for n in range(at - 1, -1, -1) if not plan[n].fault and (not victim or plan[n].task == victim)]
        after = own[0] if own else None
        for by, number in enumerate(own[:_FURTHEST], 1):
            skipped = [atom for atom in plan[number:at] if not victim or atom.task != victim]
            execution = self._run((*plan[:number], plan[at], *skipped, *plan[at + 1 :]))
            if execution is None:
                break
            places.append(Place(-by, _outcome(execution, plan[at], number)))
            if places[-1].outcome == "passes":
                break
            if places[-1].outcome == "fails":
                after = own[by] if by < len(own) else None
        return places, None if after is None else named(steps[after], steps, steps)

    def _later(self, at: int, victim: str) -> tuple[list[Place], Named | None]:
        """Move the fault on over later steps; return the places, and the first step that must not precede it."""
        plan = self._plan
        places: list[Place] = []
        before: Named | None = None
        for by in range(1, _FURTHEST):
            between = [Atom(victim, "")] * by if victim else plan[at + 1 : at + 1 + by]
            execution = self._run((*plan[:at], *between, plan[at], *plan[at + 1 + (0 if victim else by) :]))
            if execution is None or len(between) < by:
                break
            outcome = _outcome(execution, plan[at], at + by)
            if victim and outcome == "impossible" and _made(execution, plan[:at], victim) < by:
                break
            places.append(Place(by, outcome))
            if outcome != "fails":
                crossed = execution.steps[at + by - 1 : at + by]
                before = before or (named(crossed[0], execution.steps, self._failed.steps) if crossed else None)
            else:
                before = None
            if outcome == "passes":
                break
        return places, before


def _made(execution: Execution, before: Sequence[Atom], victim: str) -> int:
    """Return how many steps in a row *victim* made right after the steps of *before*."""
    count = 0
    for step in execution.steps[len(before) :]:
        if step.task.client != victim:
            break
        count += 1
    return count


def _outcome(execution: Execution, fault: Atom, place: int) -> str:
    """Return the outcome of *execution*, or "impossible" if *fault* was to be its step number *place* and was not."""
    kind = Choice(fault.choice).head
    if [Choice(step.choice).head for step in execution.steps[place : place + 1]] != [kind]:
        return "impossible"
    return "fails" if execution.failure is not None else "passes"


def _is_essential(broken: Sequence[Failure | None], others: Sequence[Failure], *, tried: bool) -> bool | None:
    """Return whether no execution without the fault fails in the same way; None if not all variants were *tried*.

    *broken* are the failures of those executions (None: it passed), *others* the ones that differ from the
    counterexample's.
    """
    if any(each is not None and each not in others for each in broken):
        return False
    return True if tried else None
