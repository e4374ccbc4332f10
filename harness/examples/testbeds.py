"""Keeps the processes of a scenario from one Hypothesis example to the next; closes them when the test is over."""

from __future__ import annotations

import atexit
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from hypothesis.errors import HypothesisException, StopTest

from harness.control.execution.driver import Driver
from harness.control.repeating.shrink import Deviations
from harness.control.testbed.testbed import Testbed, open_testbed
from harness.examples.drawn_schedule import steps_of_a_call
from harness.result import Execution
from harness.scenario import Scenario, Workload
from harness.schedulers.base import Scheduler

__all__ = ["NeverHappened", "Staged", "close", "learn", "staged"]

_MOST = 4
"""Scenarios whose processes are kept at the same time."""

_ENOUGH = 20
"""Executions in which what the scenario is about should have happened once."""


class NeverHappened(UserWarning):
    """A required event of a scenario never happened in a test, which therefore says little."""


class Staged:
    """The processes of a scenario, and counts of the events seen so far; ``steps`` is the usual number of steps in a call."""

    def __init__(self, scenario: Scenario, workers: int, stage: Testbed) -> None:
        self.scenario, self.workers, self._testbed = scenario, workers, stage
        self._happened: Counter[str] = Counter()
        self._executions = self._failures = 0
        self.steps = learn(stage.driver, scenario.workload(workers))

    def run(self, scheduler: Scheduler, workload: Workload, *, fresh: bool = False) -> Execution:
        """Run *workload* once, in freshly forked workers if *fresh*.

        Where Hypothesis ends an example inside a draw, the workers are unwound and serve the next one. Whatever
        else ends an execution (ctrl-C, a time-out of the test) may have come in the middle of a message: then they go.
        """
        scheduler.start(None)
        try:
            with ExitStack() as stack:
                stack.enter_context(_not_traced_by_hypothesis())
                if fresh:
                    stack.enter_context(self._testbed.isolated())
                execution = self._testbed.driver.run(scheduler, workload)
        except (StopTest, HypothesisException):
            raise
        except BaseException:
            close()
            raise
        self._executions += 1
        self._failures += execution.failure is not None
        self._happened.update(happened(execution))
        return execution

    def missing(self) -> list[str]:
        """Return the required events and faults that should have happened by now and have not."""
        if self._failures or self._executions < _ENOUGH:
            return []
        wanted = [check.name for check in self.scenario.must_happen]
        faults = [f"fault {kind}" for kind in self.scenario.faults.kinds]
        return [name for name in (*wanted, *faults) if not self._happened[name]]


@contextmanager
def _not_traced_by_hypothesis() -> Iterator[None]:
    """Spare the harness the tracing with which Hypothesis explains failures: it is slow, and our lines explain nothing."""
    tracer = sys.gettrace()
    if not type(getattr(tracer, "__self__", None)).__module__.startswith("hypothesis."):
        yield
        return
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)


def learn(driver: Driver, workload: Workload) -> int:
    """Run *workload* once without preemption or fault, and return how many steps a call took."""
    return steps_of_a_call(driver.run(Deviations({}), workload))


def happened(execution: Execution) -> list[str]:
    """Return the events of *execution*: the scenario's required events that occurred in it, and its kinds of fault."""
    kinds = {step.kind for step in execution.steps if step.is_fault}
    return [*execution.happened, *sorted(f"fault {'cancel' if kind == 'lost' else kind}" for kind in kinds)]


_stack = ExitStack()
_stages: list[Staged] = []
_inherited: list[ExitStack] = []
_owner = 0


def staged(scenario: Scenario, workers: int) -> Staged:
    """Return the processes for *scenario* over *workers* workers: those that are there, or new ones."""
    global _owner
    _forget_what_is_not_ours()
    for stage in _stages:
        if stage.scenario is scenario and stage.workers == workers:
            return stage
    if len(_stages) == _MOST:
        close()
    _owner = os.getpid()
    opened = _stack.enter_context(open_testbed(scenario, workers))
    # Now, after what multiprocess registers as it starts its first process: it would wait for ours to end by themselves.
    atexit.unregister(close)
    atexit.register(close)
    _stages.append(Staged(scenario, workers, opened))
    return _stages[-1]


def close() -> None:
    """End all processes, the last ones first; warn of required events that never happened in them."""
    _forget_what_is_not_ours()
    ended = list(_stages)
    _stages.clear()
    _stack.close()
    for stage in ended:
        if missing := stage.missing():
            warnings.warn(
                f"What the scenario {stage.scenario.name!r} is about never happened in this test: {', '.join(missing)}. "
                "A pass says little; give more examples (max_examples), or a workload in which it can happen.",
                NeverHappened,
                stacklevel=2,
            )


def _forget_what_is_not_ours() -> None:
    """In a process forked from the one that began, the processes are still that one's: they are kept, never ended."""
    if _stages and _owner != os.getpid():
        _stages.clear()
        _inherited.append(_stack.pop_all())
