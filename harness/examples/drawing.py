"""Draws an example from Hypothesis' choices: its workload, and a scheduler that takes choices from the same sequence."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from hypothesis import strategies as st

from harness.examples.drawn_schedule import Planned
from harness.scenario import Scenario, Workload

__all__ = ["planned", "workloads_of"]


@lru_cache(maxsize=1024)
def _numbers(size: int) -> st.SearchStrategy[int]:
    return st.integers(0, size - 1)


def planned(
    draw: Callable[[st.SearchStrategy[int]], int], scenario: Scenario, workload: Workload, steps: int
) -> Planned:
    """Return a scheduler for *workload* with choices from *draw*; *steps* is the usual number of steps in a call."""
    return Planned(lambda size: draw(_numbers(size)), scenario.faults, workload, steps=steps)


def workloads_of(scenario: Scenario, workers: int) -> st.SearchStrategy[Workload]:
    """Return the strategy for *scenario*'s workloads: those it draws, or else the one it has."""
    return scenario.workloads(workers) if scenario.workloads is not None else st.just(scenario.workload(workers))
