"""Hypothesis strategies: interleavings and workloads, so that Hypothesis generates, shrinks and remembers them.

An interleaving is drawn choice by choice while the execution runs: 0 means going on with the same task, so shrinking
towards zeros is shrinking towards fewer preemptions and faults.
"""

from __future__ import annotations

from functools import lru_cache

from hypothesis import strategies as st

from harness.plain import Plain
from harness.result import Execution
from harness.scenario import Call, Client, Scenario, Workload
from harness.schedulers.base import View

__all__ = ["Drawn", "interleavings", "workloads", "workloads_of"]

_FAULT_ONE_IN = 8
_LONG = 1_000


@lru_cache(maxsize=256)
def _numbers(size: int) -> st.SearchStrategy[int]:
    return st.integers(0, size - 1)


class Drawn:
    """A scheduler whose choices are drawn from a Hypothesis example. For one execution."""

    name = "hypothesis"

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def __repr__(self) -> str:
        return "interleaving"

    def start(self, previous: Execution | None) -> bool:
        """Run once per example."""
        return previous is None

    def choose(self, view: View) -> str | None:
        """Draw one of the options; nothing is drawn where there is only one."""
        options = view.options
        runnable = len(options)
        while runnable and options[runnable - 1].fault:
            runnable -= 1
        faults = len(options) - runnable
        if faults and self._draw(_FAULT_ONE_IN) == _FAULT_ONE_IN - 1:
            return options[runnable + self._draw(faults)].choice
        return options[self._draw(runnable)].choice

    def ahead(self, view: View) -> int:
        """Return that the task goes on by itself where there is nothing to draw."""
        return _LONG if len(view.options) == 1 and not view.faults_left else 0

    def _draw(self, size: int) -> int:
        return self._data.draw(_numbers(size)) if size > 1 else 0


def interleavings() -> st.SearchStrategy[Drawn]:
    """Return a strategy for schedulers: pass what it gives to ``Theatre.driver.run`` or ``harness.race``.

    The choices are drawn while the execution runs; the test that draws must run it, once.
    """
    return st.data().map(Drawn)


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
    """Return the strategy for *scenario*'s workloads: its own, and always its fixed one among them."""
    fixed = st.just(scenario.workload(workers))
    return st.one_of(fixed, scenario.workloads(workers)) if scenario.workloads is not None else fixed
