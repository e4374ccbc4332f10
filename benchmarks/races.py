"""The programs of `db_races` as scenarios."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.db_races import Race
from harness.faults import Faults
from harness.scenario import Call, Check, Client, Scenario, Workload

PROCESSES = 4
"""Over so many the tasks that are coroutines are spread."""

FEWEST_STEPS, STEPS_EACH = 400, 50
"""More steps than these, the second for each task, are no progress: many times what the longest program takes."""


def scenario_of(race: Race, *, correct: bool = False) -> Scenario:
    """Return the scenario of the race, or with *correct* of its correct twin."""
    tasks = race.correct if correct else race.faulty
    many = inspect.iscoroutinefunction(tasks[0])
    workers = min(len(tasks), PROCESSES) if many else len(tasks)
    operations: dict[str, Callable[[Path], Any]] = {}
    names: dict[Any, str] = {}
    for task in tasks:
        if task not in names:
            names[task] = f"{task.__name__}{len(names) or ''}"
            operations[names[task]] = task
    calls = [Call(names[task], (), number % workers) for number, task in enumerate(tasks)]
    return Scenario(
        name=race.name,
        variant="" if correct else "faulty",
        story=race.story,
        setup=race.set_up,
        operations=operations,
        workload=partial(_workload, calls),
        workers=workers,
        at_end=(Check("right", race.right),),
        faults=Faults(kill=race.kills > 0, cancel=race.cancels > 0, jumps=race.jumps, most=race.faults),
        ordered=False,
        steps=FEWEST_STEPS + STEPS_EACH * len(tasks),
    )


def _workload(calls: list[Call], workers: int) -> Workload:
    return Workload(tuple(Client((call,)) for call in calls), workers)
