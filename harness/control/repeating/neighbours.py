"""Runs the neighbours of a minimal failing execution, to find out why it fails.

A neighbour is the counterexample with one switch moved, or one fault moved or left out. ``harness/values/explanation.py`` makes
and compares the plans. At a switch (``Cut``), a group of steps interrupts the run of one task; a place in the run is
counted in steps of that task. The pair of steps whose order decides is found by binary search between a failing and a
passing neighbour.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.control.execution.driver import Driver
from harness.control.repeating.comparing import exchange, intruding, named, overlapping, passes, repeated
from harness.control.repeating.fault_moves import FaultMover
from harness.control.repeating.switches import Cut, cuts
from harness.errors import HarnessError
from harness.result import Execution
from harness.schedulers.plan import Atom, Planned, atoms
from harness.values.explanation import Exchange, Explanation, Named, Place, Window
from harness.values.redaction import redacted

__all__ = ["Unexplained", "explain"]

_MOST, _SECONDS = 150, 10.0
"""The most executions, and seconds of real time, that explaining may take."""
_FREE_CUTS = 6
"""The most switches without preemption that are tried."""


class Unexplained(HarnessError):
    """An execution can't be explained."""


def explain(driver: Driver, failed: Execution, *, executions: int = 0, failures: int = 0) -> Explanation:
    """Run neighbours of *failed*, at most 150 of them and for at most 10 s, and return the explanation.

    *executions* and *failures* are the numbers of the run that found it. Raises ``Unexplained`` if the schedule,
    rebuilt from its parts, does not fail again, and the errors of ``Driver.run``.
    """
    return _Explainer(driver, failed).explain(executions, failures)


class _Explainer:
    def __init__(self, driver: Driver, failed: Execution) -> None:
        assert failed.failure is not None
        self._driver, self._failed, self._sort = driver, failed, failed.failure.sort
        self._plan = atoms(failed.steps)
        self._seen: dict[tuple[Atom, ...], Execution] = {}
        self._cut_short = ""
        self._began = time.perf_counter()

    def explain(self, executions: int, failures: int) -> Explanation:
        if self._sort[0] == "no progress":
            return self._endless(executions, failures)
        if not self._fails_again():
            # Stop each task right where it was left, instead of letting it go on until it can't.
            self._plan = tuple(atom._replace(ends=False) for atom in self._plan)
            if not self._fails_again():
                raise Unexplained("Its schedule, rebuilt from its parts, does not fail again.")
        steps = self._failed.steps
        switches = cuts(steps, self._plan)
        windows = [window for cut in switches if cut.preempts and (window := self._window(cut)) is not None]
        mover = FaultMover(self._failed, self._plan, self._run)
        faults = [mover.role(number) for number, atom in enumerate(self._plan) if atom.fault]
        if not windows and not faults:
            windows = [window for cut in switches[:_FREE_CUTS] if (window := self._window(cut)) and window.opens]
        original = self._failed.schedule
        others = {e.schedule: e for e in self._seen.values() if e.schedule != original}.values()
        broken = [other.failure.sort for other in others if other.failure is not None]
        return Explanation(
            windows=tuple(windows),
            faults=tuple(faults),
            overlap=overlapping(self._failed),
            neighbours=len(others),
            failing=len(broken),
            otherwise=sum(sort != self._sort for sort in broken),
            executions=len(self._seen),
            seconds=time.perf_counter() - self._began,
            cut_short=self._cut_short,
            run_executions=executions,
            run_failures=failures,
            alone=None if windows or faults else self._alone(),
        )

    def _endless(self, executions: int, failures: int) -> Explanation:
        """Return the explanation of an endless execution: the steps that it repeats.

        No neighbours are run: such an execution has not been shrunk, and they would say little.
        """
        return Explanation(
            windows=(),
            faults=(),
            overlap=overlapping(self._failed),
            neighbours=0,
            failing=0,
            otherwise=0,
            executions=0,
            seconds=0.0,
            run_executions=executions,
            run_failures=failures,
            repeats=repeated(self._failed.steps),
        )

    def _alone(self) -> bool | None:
        """Return whether the calls also fail one after another in one worker; None if that can't be run or judged."""
        workload = self._failed.workload
        if self._driver.scenario.app is not None or self._cut_short:
            return None
        clients = tuple(
            replace(client, calls=tuple(replace(call, worker=0) for call in client.calls))
            for client in workload.clients
        )
        execution = self._driver.run(Planned(()), replace(workload, clients=clients))
        return None if execution.stuck or execution.abandoned else execution.failure is not None

    def _fails_again(self) -> bool:
        again = self._run(self._plan)
        return again is not None and again.failure is not None and again.failure.sort == self._sort

    def _run(self, plan: Sequence[Atom]) -> Execution | None:
        """Return the execution of *plan*, which is run only once.

        None if the limits of explaining are reached, or if this or an earlier execution can't be judged.
        """
        plan = tuple(plan)
        if plan in self._seen:
            return self._seen[plan]
        if self._cut_short:
            return None
        if len(self._seen) >= _MOST:
            self._cut_short = f"{_MOST} executions"
        elif time.perf_counter() - self._began > _SECONDS:
            self._cut_short = f"{_SECONDS:g} seconds"
        else:
            execution = self._driver.run(Planned(plan), self._failed.workload)
            execution = redacted(execution, self._driver.scenario.secrets)[0]
            if not execution.stuck:
                self._seen[plan] = execution
                return execution
            self._cut_short = f"a schedule that can't be judged: {execution.stuck}"
        return None

    # Switches

    def _window(self, cut: Cut) -> Window | None:
        """Move the switch *cut* until the execution passes, and find the deciding pairs of steps.

        None if explaining was cut short before either end of the window was found.
        """
        earlier = self._sweep(cut, -1)
        later = self._sweep(cut, 1) if cut.preempts else []
        first, last = (cut.made + _last_failing(places) for places in (earlier, later))
        opens = self._own_step(cut, first - 1) if passes(earlier) else None
        closes = self._own_step(cut, last) if passes(later) else None
        if self._cut_short and opens is None and closes is None:
            return None
        opening = self._opening(cut, first, cut.made + earlier[-1].by) if opens else None
        closing = self._closing(cut, last) if closes else None
        steps = self._failed.steps
        group = [named(steps[n], steps, steps) for n in cut.numbers if not self._plan[n].fault]
        return Window(
            at=cut.at,
            preempts=cut.preempts,
            opens=opens,
            closes=closes,
            intruding=intruding(group, opens, closes, opening=opening, closing=closing),
            places=(*reversed(earlier), Place(0, "fails"), *later),
            opening=opening,
            closing=closing,
        )

    def _sweep(self, cut: Cut, direction: int) -> list[Place]:
        """Move *cut* in one direction, a step at a time, until the execution passes or the run has no more steps."""
        found: list[Place] = []
        made = cut.made + direction
        while made >= 0 and (execution := self._run(cut.plan(made))) is not None:
            outcome, over = self._placed(cut, made, execution)
            found.append(Place(made - cut.made, outcome))
            if outcome == "passes" or over:
                break
            made += direction
        return found

    def _placed(self, cut: Cut, made: int, execution: Execution) -> tuple[str, bool]:
        """Return the outcome of *execution*, which was to switch after *made* steps, and whether the run is shorter.

        The outcome is "impossible" if the group did not go on right after the switch.
        """
        at = len(cut.before) + len(cut.part(made)[0])
        steps = execution.steps
        over = made > cut.made and not (at <= len(steps) and steps[at - 1].task.client == cut.task)
        outcome = "fails" if execution.failure is not None else "passes"
        first = next((atom for atom in cut.group if not atom.fault), None)
        came = next((step for step in steps[at:] if not step.is_fault), None)
        if not over and first is not None and (came is None or came.task.client != first.task):
            outcome = "impossible"
        return outcome, over

    def _own_step(self, cut: Cut, place: int) -> Named | None:
        """Return the interrupted task's step with *place* steps of its run before it, None if there is none."""
        execution = self._failed if place < cut.made else self._run(cut.plan(place + 1))
        if execution is None or place < 0:
            return None
        before = sum(atom.task == cut.task and not atom.fault for atom in cut.before)
        own = [step for step in execution.steps if step.task.client == cut.task and not step.is_fault]
        place += before
        return named(own[place], execution.steps, self._failed.steps) if place < len(own) else None

    def _opening(self, cut: Cut, fails: int, passes: int) -> Exchange | None:
        """Return the deciding pair at the beginning of the window, None if it can't be found.

        The switch passes after *passes* steps of the run and fails after *fails*.
        """
        for early in dict.fromkeys((passes, 0)):
            pair = self._crossed(cut, early, fails) if self._passes_at(cut.plan(early)) else None
            if pair is not None and pair.first.step.task.client == cut.task:
                return pair
        return None

    def _crossed(self, cut: Cut, early: int, fails: int) -> Exchange | None:
        """Return the deciding pair between a group after *early* steps of the run, which passes, and one after *fails*.

        The first binary search is for how many steps of the group must run early for the execution to pass. The second
        is for how far the last one of them can be moved towards *fails* before the execution fails again.
        """
        cut = self._realised(cut, early)
        many = self._halve(0, len(cut.group), lambda number: cut.split(early, number, fails))
        if many is None:
            return None
        at = self._halve(fails, early, lambda number: cut.crossing(early, many - 1, number, late=fails))
        if at is None:
            return None
        return self._pair(
            cut.crossing(early, many - 1, at + 1, late=fails), cut.crossing(early, many - 1, at, late=fails)
        )

    def _closing(self, cut: Cut, fails: int) -> Exchange | None:
        """Return the deciding pair at the end of the window, None if it can't be found.

        The switch fails after *fails* steps of the run and passes after one more.
        """
        cut = self._realised(cut, fails)
        crossed = self._halve(len(cut.group), 0, lambda many: cut.split(fails, many, fails + 1))
        if crossed is None:
            return None
        pair = self._pair(cut.split(fails, crossed + 1, fails + 1), cut.split(fails, crossed, fails + 1))
        return pair if pair is not None and pair.second.step.task.client == cut.task else None

    def _realised(self, cut: Cut, made: int) -> Cut:
        """Return *cut* with the group that runs after *made* steps of the run: it may get further, or have to wait."""
        execution = self._run(cut.plan(made))
        if execution is None:
            return cut
        start = len(cut.before) + len(cut.part(made)[0])
        plan = atoms(execution.steps)
        end = next((n for n in range(start, len(plan)) if plan[n].task == cut.task and not plan[n].fault), start)
        return cut._replace(group=plan[start:end]) if end > start else cut

    def _halve(self, fails: int, passes: int, plan: Callable[[int], Sequence[Atom]]) -> int | None:
        """Binary-search for two adjacent numbers of which one fails and one passes, and return the latter.

        The *plan* of *fails* fails, that of *passes* passes; either number may be the greater. Return None if
        a plan could not be run.
        """
        while abs(fails - passes) > 1:
            middle = (fails + passes) // 2
            execution = self._run(plan(middle))
            if execution is None:
                return None
            if execution.failure is None:
                passes = middle
            else:
                fails = middle
        return passes

    def _pair(self, fails: Sequence[Atom], passes: Sequence[Atom]) -> Exchange | None:
        one, other = self._run(fails), self._run(passes)
        if one is None or other is None or one.failure is None or other.failure is not None:
            return None
        return exchange(one, other, self._failed.steps)

    def _passes_at(self, plan: Sequence[Atom]) -> bool:
        execution = self._run(plan)
        return execution is not None and execution.failure is None


def _last_failing(places: Sequence[Place]) -> int:
    """Return by how many steps the switch can be moved at most and still fail, 0 if not at all."""
    return next((place.by for place in reversed(places) if place.outcome == "fails"), 0)
