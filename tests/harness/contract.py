"""The contracts of schedulers and of specifications: functions that those built in and your own can be held to."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from harness.checks.linearizability import UNKNOWN, Operation, Spec
from harness.control.execution.driver import Driver
from harness.control.testbed.testbed import open_testbed
from harness.faults import Faults
from harness.result import Execution
from harness.schedulers.base import Scheduler, View, report_of
from tests.harness.counter import raced
from tests.harness.sync_programs import autocommit

__all__ = ["Watched", "check_scheduler", "check_spec"]


class Watched:
    """A scheduler that checks what it is asked and what the one that it watches answers."""

    def __init__(self, inner: Scheduler) -> None:
        self.name, self._inner = inner.name, inner
        self.decisions = 0
        self._known: list[Any] = []

    def start(self, previous: Execution | None) -> bool:
        """Begin an execution."""
        self._known = []
        more = self._inner.start(previous)
        assert type(more) is bool
        return more

    def choose(self, view: View) -> str | None:
        """Choose as the watched one does."""
        options = [option.choice for option in view.options]
        assert options, "there is something to choose"
        assert len(set(options)) == len(options), "no option comes twice"
        ranks = [(option.fault, not option.continues) for option in view.options]
        assert [fault for fault, _ in ranks] == sorted(fault for fault, _ in ranks), "faults come last"
        assert ranks == sorted(ranks), "what continues comes first"
        assert view.steps[: len(self._known)] == self._known, "no step is forgotten"
        self._known = list(view.steps)
        choice = self._inner.choose(view)
        assert choice is None or choice in options or choice in view.waiting, "it is one of the options, or asks again"
        self.decisions += 1
        return choice

    def ahead(self, view: View) -> int:
        """Look ahead as the watched one does."""
        look = getattr(self._inner, "ahead", None)
        times: int = look(view) if look is not None else 0
        assert times >= 0
        return times


def check_scheduler(make: Callable[[], Scheduler], most: int = 20, repeats: bool = True, **fields: Any) -> None:
    """Check what a scheduler promises, over real executions of two workers, with and without a kill.

    - It has a name; ``start(None)`` has an execution to begin.
    - ``choose`` returns one of the options or None, whatever it is asked; ``ahead``, if there is one, no negative number.
    - Another one that *make* makes the same way makes the same choices, unless it *repeats* nothing.
    - What it says of the search is of the right kind, and only what has ended is complete.
    """
    for kills in (0, 1):
        scenario = raced(autocommit, faults=Faults(kill=True, most=kills), raising_fails=False, **fields)
        with open_testbed(scenario, 2, patience=2.0) as stage:
            made = _made(make(), stage.driver, most)
            assert made
            if repeats:
                assert _made(make(), stage.driver, most) == made, "made the same way, it chooses the same"


def _made(inner: Scheduler, driver: Driver, most: int) -> list[tuple[str, ...]]:
    """Run *inner* and return the choices of each execution."""
    watched, previous, ended = Watched(inner), None, False
    found: list[tuple[str, ...]] = []
    while len(found) < most and not (ended := not watched.start(previous)):
        previous = driver.run(watched, driver.scenario.workload(2))
        found.append(previous.schedule.choices)
        assert not previous.stuck
        assert previous.abandoned or len(previous.history.outcomes()) == 2
    assert inner.name
    assert watched.decisions
    report = report_of(inner)
    assert ended or not report.complete, "nothing is complete that goes on"
    assert report.seen is None or 0.0 <= report.seen <= 1.0
    assert all(depth >= 1 and times >= 0 for depth, times in report.pct.items())
    return found


def check_spec(spec: Spec, operations: Sequence[Operation], most: int = 200) -> int:
    """Check what a specification promises, in every state that *operations* lead to; return how many there were.

    - States, and the keys of partitions, are hashable; asked again, the step function answers the same.
    - What can give some result fits with an unknown one, too.
    - What it says only reads leaves the state as it was.
    """
    reached: dict[Hashable, None] = {spec.initial: None}
    waiting: list[Hashable] = [spec.initial]
    while waiting and len(reached) < most:
        state = waiting.pop(0)
        digest = hash(state)
        for each in operations:
            found = list(spec.step(state, each.name, each.arguments, each.result))
            unknown = list(spec.step(state, each.name, each.arguments, UNKNOWN))
            assert found == list(spec.step(state, each.name, each.arguments, each.result)), "it is a pure function"
            assert hash(state) == digest, "no state is changed"
            assert unknown or not found, f"{each.name}: what can happen can happen unheard of"
            if spec.reads is not None and spec.reads(each):
                assert set(found) <= {state}, f"{each.name} only reads"
            if spec.partition is not None:
                hash(spec.partition(each))
            assert isinstance(spec.describe(state), str)
            new = [after for after in (*found, *unknown) if after not in reached]
            reached.update(dict.fromkeys(new))
            waiting += dict.fromkeys(new)
    return len(reached)
