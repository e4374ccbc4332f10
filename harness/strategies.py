"""Hypothesis strategies: workloads, and their executions in every interleaving, drawn from one choice sequence.

So Hypothesis generates, shrinks and remembers them as it does any other value.
"""

from __future__ import annotations

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.control import current_build_context

from harness.examples.drawing import planned, workloads_of
from harness.interleaving import Interleaving
from harness.result import fault_count
from harness.scenario import Call, Client, Scenario, Workload
from harness.values.plain import Plain
from harness.values.schedule import Schedule

__all__ = ["Interleaving", "interleavings", "workloads"]


def interleavings(
    scenario: Scenario, *, workers: int | None = None, workloads: st.SearchStrategy[Workload] | None = None
) -> st.SearchStrategy[Interleaving]:
    """Return a strategy for executions of *scenario*; call ``check(scenario)`` on each value that it draws.

    Workload, placement, schedule and faults come from one choice sequence, so they are made small together: towards fewer
    clients and calls, fewer faults and preemptions. *workloads* gives other workloads than the scenario's (which are its
    ``workloads``, or the one it has). Each example is executed while it is drawn, over processes that are started once
    for a test; the last, minimal one in fresh ones. What happened is an ``event`` of the statistics.
    """
    count = scenario.workers if workers is None else workers

    def begun() -> st.SearchStrategy[Interleaving]:
        from harness.examples.testbeds import staged

        staged(scenario, count)  # here, where it is no part of drawing an example, of which Hypothesis takes the time
        return _executed(scenario, count, drawn=workloads_of(scenario, count) if workloads is None else workloads)

    return st.deferred(begun)


@st.composite
def _executed(draw: st.DrawFn, scenario: Scenario, workers: int, *, drawn: st.SearchStrategy[Workload]) -> Interleaving:
    # The engine is loaded when the first example is drawn, not when a test module is imported.
    from harness.examples import executing
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
    executing.tell(execution)
    if final:
        faults = fault_count(execution.steps)
        sizes = f"{len(execution.steps)} steps, preemptions: {execution.preemptions}, faults: {faults}"
        note(f"{made!r} in fresh processes: {sizes}")
    return made


def workloads(
    operations: dict[str, st.SearchStrategy[tuple[Plain, ...]]],
    *,
    workers: int = 2,
    clients: int = 2,
    calls: int = 1,
) -> st.SearchStrategy[Workload]:
    """Return a strategy for workloads: calls of operations with drawn arguments, by several clients, on several workers.

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
