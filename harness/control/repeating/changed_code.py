"""Replays a race on changed code, task by task, and tries nearby schedules: is the race gone, or only moved?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.control.repeating.switches import cuts
from harness.control.testbed.testbed import Testbed, open_testbed
from harness.result import Execution
from harness.saved.counterexample import Counterexample
from harness.saved.steps import event_as_data, step_as_data
from harness.scenario import Scenario
from harness.schedulers.plan import Atom, Planned, atoms
from harness.schedulers.random_walk import RandomWalk
from harness.values.redaction import redacted
from harness.values.schedule import Schedule

__all__ = ["Around", "look_around"]

_MOST, _SECONDS = 200, 20.0
"""No further neighbour is run after so many distinct ones, or so many seconds of real time since the beginning."""
_MOVES = (1, -1, 2, -2)
_WALKS = 20
_SEQUENCE = "one call after another"


@dataclass(slots=True)
class Around:
    """The result of ``look_around``.

    ``recorded`` is the rule that the recorded schedule breaks here (empty: none). ``fails`` is how many of the
    ``tried`` neighbours break the rule that the counterexample broke, ``nearest`` the schedule of the first of these;
    ``others`` are the other rules that broke. ``stuck`` says why an execution could not be judged (empty: all could).
    ``calls`` counts how calls ended in passing executions, by operation and kind; ``alone`` says how each call ends
    when the calls run one after another. ``execution`` is the execution of the recorded schedule here, as plain data
    without secrets.
    """

    recorded: str = ""
    execution: dict[str, Any] | None = None
    tried: int = 0
    fails: int = 0
    nearest: str = ""
    others: list[str] = field(default_factory=list)
    stuck: str = ""
    calls: dict[str, dict[str, int]] = field(default_factory=dict)
    alone: dict[str, str] = field(default_factory=dict)


def look_around(scenario: Scenario, found: Counterexample, *, patience: float = 5.0) -> Around:
    """Return whether the race in the counterexample *found* still occurs in the present code of *scenario*.

    1. Run its schedule again, task by task: each task goes as far as it had come, though its steps may differ.
    2. Run the schedules in which one switch or fault is moved by one or two steps, then those with one more moved.
    3. Run the calls one after another, then in a few random walks, to see how they end.

    Raises as ``open_testbed`` does.
    """
    plan = atoms(found.steps)
    staged = found.staged(scenario).allowing(found.schedule)
    with open_testbed(staged, found.workers, seed=found.seed, patience=patience) as stage:
        looking = _Looking(stage, found)
        looking.replay(plan)
        looking.neighbours()
        looking.walk()
    return looking.around


class _Looking:
    def __init__(self, stage: Testbed, found: Counterexample) -> None:
        self._stage, self._found = stage, found
        self._sort = found.failure.sort
        self.around = Around()
        self._first: Execution | None = None
        self._seen: set[Schedule] = set()
        self._began = time.perf_counter()

    def _run(self, plan: Sequence[Atom]) -> Execution | None:
        execution = self._stage.driver.run(Planned(plan), self._found.workload)
        if execution.stuck:
            self.around.stuck = self.around.stuck or execution.stuck
            return None
        self._count(execution)
        return execution

    def _count(self, execution: Execution) -> None:
        if execution.failure is not None:
            return
        for outcome in execution.history.outcomes():
            kinds = self.around.calls.setdefault(outcome.operation, {})
            kind = outcome.kind if outcome.kind != "fail" else f"fail {outcome.error}"
            kinds[kind] = kinds.get(kind, 0) + 1

    def replay(self, plan: Sequence[Atom]) -> None:
        """Run the recorded schedule, and keep its execution and the rule that it breaks."""
        self._first = self._run(plan)
        if self._first is not None:
            shown = redacted(self._first, self._stage.driver.scenario.secrets)[0]
            self.around.execution = {
                "steps": [step_as_data(step) for step in shown.steps],
                "history": [event_as_data(event) for event in shown.history],
                "left_open": list(shown.history.left_open),
                "broken_at": shown.failure.step if shown.failure is not None else -1,
                "message": shown.failure.message if shown.failure is not None else "",
            }
        if self._first is not None and (failure := self._first.failure) is not None:
            self.around.recorded = _rule(failure.sort)
            if failure.sort != self._sort:
                self.around.others.append(_rule(failure.sort))

    def neighbours(self) -> None:
        """Run the schedules with one switch or fault moved, then those with one more moved."""
        level = [self._first] if self._first is not None else []
        self._seen.update(execution.schedule for execution in level)
        for _ in range(2):
            following: list[Execution] = []
            for execution in level:
                for plan in _moved(execution):
                    if self.around.tried >= _MOST or time.perf_counter() - self._began > _SECONDS:
                        return
                    if (neighbour := self._run(plan)) is not None and neighbour.schedule not in self._seen:
                        self._seen.add(neighbour.schedule)
                        following.append(neighbour)
                        self._judge(neighbour)
            level = following

    def _judge(self, neighbour: Execution) -> None:
        self.around.tried += 1
        if neighbour.failure is None:
            return
        if neighbour.failure.sort == self._sort:
            self.around.fails += 1
            self.around.nearest = self.around.nearest or str(neighbour.schedule)
        elif (rule := _rule(neighbour.failure.sort)) not in self.around.others:
            self.around.others.append(rule)

    def walk(self) -> None:
        """Run the calls one after another, then in random walks, and count how they end."""
        in_turn = self._stage.driver.run(Planned(()), self._found.workload)
        ends: Counter[str] = Counter()
        for outcome in in_turn.history.outcomes():
            ends[outcome.operation] += 1
            name = f"{outcome.operation} {ends[outcome.operation]}"
            self.around.alone[name] = outcome.kind if outcome.kind != "fail" else f"fail {outcome.error}"
        walk, previous = RandomWalk(self._found.seed), None
        for _ in range(_WALKS):
            walk.start(previous)
            previous = self._stage.driver.run(walk, self._found.workload)
            if not previous.stuck:
                self._count(previous)


def _rule(sort: tuple[str, str]) -> str:
    return " ".join(sort).strip()


def _moved(execution: Execution) -> Iterator[tuple[Atom, ...]]:
    """Yield the plans in which one switch, or one fault, of *execution* comes earlier or later."""
    plan = atoms(execution.steps)
    for place in (number for number, atom in enumerate(plan) if atom.fault):
        rest = (*plan[:place], *plan[place + 1 :])
        for by in _MOVES:
            if 0 <= place + by <= len(rest):
                yield (*rest[: place + by], plan[place], *rest[place + by :])
    for cut in cuts(execution.steps, plan):
        for by in _MOVES:
            if cut.made + by >= 0:
                yield cut.plan(cut.made + by)
