"""Runs an execution inside a Hypothesis test, and reports its events to Hypothesis."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import event
from hypothesis.control import current_build_context, currently_in_test_context

from harness.examples.testbeds import happened, staged
from harness.result import Execution
from harness.scenario import Scenario, Workload
from harness.schedulers.base import Scheduler

__all__ = ["run_now", "tell"]


def run_now(scenario: Scenario, workers: int, scheduler: Scheduler, *, workload: Workload) -> Execution:
    """Run *workload* under *scheduler* in fresh processes; in a test of Hypothesis, without its deadline noticing."""
    began = time.perf_counter()
    execution = staged(scenario, workers).run(scheduler, workload, fresh=True)
    if currently_in_test_context():
        tell(execution)
        # As if it had been drawn, as other executions are: a deadline is for the time of the test itself.
        times: Any = getattr(current_build_context().data, "draw_times", {})
        times["execution"] = times.get("execution", 0.0) + time.perf_counter() - began
    return execution


def tell(execution: Execution) -> None:
    """Report the events of *execution* to Hypothesis' statistics."""
    for name in happened(execution):
        event(f"happened: {name}")
    event(f"preemptions: {execution.preemptions}")
