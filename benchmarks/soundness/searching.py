"""The two searches through a program under control: the complete one, and brute force."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.soundness.program import Program, functions_of, module_of
from benchmarks.soundness.state import outcome_of
from harness.control.testbed.testbed import Testbed, open_testbed
from harness.errors import Diverged
from harness.faults import Faults
from harness.result import Execution
from harness.scenario import Call, Check, Client, Scenario, Workload
from harness.schedulers.base import Scheduler, report_of
from harness.schedulers.tree.exhaustive import Exhaustive
from harness.schedulers.tree.stateful import Stateful
from harness.values.history import History

__all__ = ["KILLED", "Found", "Searches", "scenario_of", "searched"]

KILLED = "killed"
CANCELLED = "cancelled"
"""What stands for the answer of a call of which nobody knows how far it came."""

_PATIENCE = 60.0
"""Seconds without a word until a worker counts as stuck: many, for the machine is busy."""


@dataclass
class Found:
    """The result of a search: its outcomes, and in ``why`` the reason why it is not complete (empty: it is)."""

    outcomes: set[str] = field(default_factory=set)
    executions: int = 0
    why: str = ""
    notes: tuple[str, ...] = ()
    undivided: bool = False
    """Whether it is complete only of executions with each SQL statement in one piece, which real ones are not."""
    schedules: dict[str, str] = field(default_factory=dict)
    """For each outcome an execution that ends so."""

    @property
    def complete(self) -> bool:
        """Whether nothing was left out."""
        return not self.why


@dataclass
class Searches:
    """The results of the complete search, without states and with them, and of brute force (None if it was not tried)."""

    complete: Found
    stateful: Found | None = None
    brute: Found | None = None


def told_of(history: History) -> list[object]:
    """Return the answer of each call, in the order of the clients."""
    answers: list[object] = []
    for outcome in sorted(history.outcomes(), key=lambda outcome: (outcome.client, outcome.call)):
        if outcome.kind == "ok":
            answers.append(outcome.value)
        elif outcome.error == "CancelledError":
            # By a fault, or by the code itself: for the caller it is one.
            answers.append(CANCELLED)
        elif outcome.kind == "info":
            answers.append(KILLED)
        else:
            answers.append(f"!{outcome.error}: {outcome.value}")
    return answers


def scenario_of(program: Program, seen: Callable[[str], object]) -> Scenario:
    """Return the scenario that races *program*; *seen* is told each outcome."""
    module = module_of(program)

    def note(history: History, db: Path) -> None:
        seen(outcome_of(told_of(history), db.parent))

    def workload(workers: int) -> Workload:
        return Workload(tuple(Client((Call(f"w{number}", (), number),)) for number in range(workers)), workers)

    return Scenario(
        name=module.__name__,
        setup=module.setup,
        operations=functions_of(module, program),
        workload=workload,
        postconditions=(Check("outcome", note),),
        raising_fails=False,
        ordered=False,
        workers=len(program.workers),
        faults=Faults(most=program.kills + program.cancels, kill=program.kills > 0, cancel=program.cancels > 0),
        steps=300,
        # Real workers are held up as often as it happens: each of these sleeps once, so each may be once.
        delays=len(program.workers) if program.sleeps else 1,
    )


def searched(program: Program, *, most: int, brute: int, seconds: float) -> Searches:
    """Search *program*: in at most *most* executions, *brute* of brute force, and *seconds* of each search."""
    outcomes: list[str] = []
    scenario = scenario_of(program, outcomes.append)
    with open_testbed(scenario, len(program.workers), patience=_PATIENCE) as stage:

        def search(scheduler: Scheduler, budget: int) -> Found:
            return _search(stage, scheduler, budget, seconds, outcomes)

        complete = search(Exhaustive(), most)
        if not complete.complete:
            return Searches(complete)
        return Searches(complete, search(Stateful(), most), search(Exhaustive(reduction=False), brute))


def _search(stage: Testbed, scheduler: Scheduler, most: int, seconds: float, outcomes: list[str]) -> Found:
    driver, found = stage.driver, Found()
    workload = driver.scenario.workload(driver.scenario.workers)
    # What rules were told is remembered: each search is to tell it anew.
    driver.observer.forget()
    previous: Execution | None = None
    ends = time.monotonic() + seconds
    while scheduler.start(previous):
        if found.executions >= most or time.monotonic() > ends:
            found.why = f"more than {found.executions} executions" if found.executions >= most else f"{seconds:g} s"
            return found
        outcomes.clear()
        try:
            previous = driver.run(scheduler, workload)
        except Diverged as error:
            found.why = f"departed: {str(error).partition('Usual')[0]}"
            return found
        found.executions += 1
        _take(found, previous, outcomes)
        if found.why:
            return found
    if not report_of(scheduler).complete:
        found.why = "the scheduler says so"
    return found


def _take(found: Found, execution: Execution, outcomes: Sequence[str]) -> None:
    """Note how *execution* ended."""
    found.undivided = found.undivided or execution.undivided
    found.notes = tuple(sorted({*found.notes, *execution.notes}))
    if execution.stuck:
        found.why = f"stuck: {execution.stuck}"
    elif execution.bounded:
        found.why = "an execution with too many steps"
    elif execution.failure is not None:
        outcomes = [f"!{execution.failure.kind}"]
    for outcome in outcomes:
        found.outcomes.add(outcome)
        found.schedules.setdefault(outcome, str(execution.schedule))
