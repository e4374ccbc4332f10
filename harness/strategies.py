"""Hypothesis strategies: workloads, and their executions in every interleaving, drawn from one choice sequence.

So Hypothesis generates, shrinks and remembers them as it does any other value.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from hypothesis import event, note
from hypothesis import strategies as st
from hypothesis.control import current_build_context, currently_in_test_context

from harness.examples.drawn_schedule import Planned
from harness.interleaving import Interleaving
from harness.result import Execution, fault_count
from harness.scenario import Call, Client, Scenario, Workload
from harness.schedulers.base import Scheduler
from harness.values.plain import Plain
from harness.values.schedule import Schedule

__all__ = ["Interleaving", "interleavings", "planned", "run_now", "workloads", "workloads_of"]


@lru_cache(maxsize=1024)
def _numbers(size: int) -> st.SearchStrategy[int]:
    return st.integers(0, size - 1)


def planned(
    draw: Callable[[st.SearchStrategy[int]], int], scenario: Scenario, workload: Workload, steps: int
) -> Planned:
    """Return a scheduler for *workload* whose choices *draw* gives; *steps* is what a call takes about."""
    return Planned(lambda size: draw(_numbers(size)), scenario.faults, workload, steps)


def interleavings(
    scenario: Scenario, *, workers: int | None = None, workloads: st.SearchStrategy[Workload] | None = None
) -> st.SearchStrategy[Interleaving]:
    """Return a strategy for executions of *scenario*: call ``check(scenario)`` on what it gives.

    Workload, placement, schedule and faults come from one choice sequence, so they are made small together: towards fewer
    clients and calls, fewer faults and preemptions. *workloads* gives other workloads than the scenario's (which are its
    ``workloads``, or the one it has). Each example is executed while it is drawn, over processes that are started once
    for a test; the last, minimal one in fresh ones. What happened is an ``event`` of the statistics.
    """
    count = scenario.workers if workers is None else workers

    def begun() -> st.SearchStrategy[Interleaving]:
        from harness.examples.testbeds import staged

        staged(scenario, count)  # here, where it is no part of drawing an example, of which Hypothesis takes the time
        return _executed(scenario, count, workloads_of(scenario, count) if workloads is None else workloads)

    return st.deferred(begun)


@st.composite
def _executed(draw: st.DrawFn, scenario: Scenario, workers: int, drawn: st.SearchStrategy[Workload]) -> Interleaving:
    from harness.examples.testbeds import staged

    stage = staged(scenario, workers)
    workload = draw(drawn)
    scheduler = planned(draw, scenario, workload, stage.steps)
    final = current_build_context().is_final
    execution = stage.run(scheduler, workload, fresh=final)
    made = Interleaving(
        Schedule(execution.schedule.choices[: scheduler.told]),
        None if workload == scenario.workload(workers) else workload,
        execution,
        scenario,
    )
    _tell(execution)
    if final:
        faults = fault_count(execution.steps)
        sizes = f"{len(execution.steps)} steps, preemptions: {execution.preemptions}, faults: {faults}"
        note(f"{made!r} in fresh processes: {sizes}")
    return made


def run_now(scenario: Scenario, workers: int, scheduler: Scheduler, workload: Workload) -> Execution:
    """Run *workload* under *scheduler* in fresh processes; in a test of Hypothesis, without its deadline noticing."""
    from harness.examples.testbeds import staged

    began = time.perf_counter()
    execution = staged(scenario, workers).run(scheduler, workload, fresh=True)
    if currently_in_test_context():
        _tell(execution)
        # As if it had been drawn, as other executions are: a deadline is for the time of the test itself.
        times: Any = getattr(current_build_context().data, "draw_times", {})
        times["execution"] = times.get("execution", 0.0) + time.perf_counter() - began
    return execution


def _tell(execution: Execution) -> None:
    """Have Hypothesis' statistics say what happened."""
    from harness.examples.testbeds import happened

    for name in happened(execution):
        event(f"happened: {name}")
    event(f"preemptions: {execution.preemptions}")


def workloads(
    operations: dict[str, st.SearchStrategy[tuple[Plain, ...]]],
    *,
    workers: int = 2,
    clients: int = 2,
    calls: int = 1,
) -> st.SearchStrategy[Workload]:
    """Return a strategy for workloads: who calls what, with which arguments, on which workers.

    *operations* maps each operation to a strategy for its arguments; at most *clients* clients make at most *calls* calls
    each, over *workers* workers. Shrinks towards fewer clients and calls, the first operation and the first worker.
    """
    call = st.one_of(
        *(
            st.builds(Call, st.just(name), arguments, st.integers(0, workers - 1))
            for name, arguments in operations.items()
        )
    )
    client = st.lists(call, min_size=1, max_size=calls).map(lambda made: Client(tuple(made)))
    return st.lists(client, min_size=1, max_size=clients).map(lambda made: Workload(tuple(made), workers))


def workloads_of(scenario: Scenario, workers: int) -> st.SearchStrategy[Workload]:
    """Return the strategy for *scenario*'s workloads: those it draws, or else the one it has."""
    return scenario.workloads(workers) if scenario.workloads is not None else st.just(scenario.workload(workers))
