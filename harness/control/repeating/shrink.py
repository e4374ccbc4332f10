"""Shrinks a failing execution: fewer clients and calls, fewer delays, faults and preemptions, fewer steps."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, groupby

from harness.control.execution.driver import Driver
from harness.result import Execution, delay_count, fault_count
from harness.scenario import Client, Workload
from harness.schedulers.base import Scheduler, View, by_default
from harness.schedulers.plan import Planned, atoms, without
from harness.schedulers.tree.exhaustive import Exhaustive
from harness.values.names import Choice

__all__ = ["Deviations", "shrink"]

_MOST, _SECONDS = 2_000, 60.0
"""Limits of shrinking, in executions and seconds: the smallest execution found by then is small enough."""

_PATIENCE = 300
"""Shrinking ends after so many executions in a row that save no call, delay, fault or preemption.

Fewer steps alone are not worth more executions.
"""

_SEARCH = 150
"""Executions that one attempt to find a cheaper failure, or a failure of a smaller workload, may take."""


class Deviations:
    """A scheduler that goes on with the same task, except at given steps: there it makes another choice if it can."""

    name = "deviations"

    def __init__(self, deviations: dict[int, str]) -> None:
        self.deviations = deviations

    def start(self, previous: Execution | None) -> bool:
        """Run once."""
        return previous is None

    def choose(self, view: View) -> str | None:
        """Return this step's deviation if it is possible, else the default."""
        wanted = self.deviations.get(len(view.steps))
        if wanted is not None and any(option.choice == wanted for option in view.options):
            return wanted
        return by_default(view)

    def ahead(self, view: View) -> int:
        """Return how many steps are left to the next deviation."""
        number = len(view.steps)
        return min((step for step in self.deviations if step > number), default=number + 1_000) - number - 1


class Following:
    """A scheduler that makes the possible choices of *plan* in order, and then goes on without preemption."""

    name = "following"

    def __init__(self, plan: Sequence[str]) -> None:
        self._plan, self._next = plan, 0

    def start(self, previous: Execution | None) -> bool:
        """Run once."""
        return previous is None

    def choose(self, view: View) -> str | None:
        """Return the next choice of the plan that can be made, else the default."""
        possible = {option.choice for option in view.options}
        while self._next < len(self._plan):
            self._next += 1
            if self._plan[self._next - 1] in possible:
                return self._plan[self._next - 1]
        return by_default(view)


def cost(execution: Execution) -> tuple[int, int, int, int, int]:
    """Return the cost of *execution*, to be made small: calls, delays, faults and preemptions, waits, steps."""
    calls = sum(len(client.calls) for client in execution.workload.clients)
    waits = sum(step.waited for step in execution.steps)
    disturbed = fault_count(execution.steps) + execution.preemptions
    return calls, delay_count(execution.steps), disturbed, waits, len(execution.steps)


def shrink(driver: Driver, failed: Execution) -> tuple[Execution, int]:
    """Return the smallest execution found that breaks the same rule as *failed*, and how many were tried."""
    return _Shrinker(driver, failed).shrink()


class _Shrinker:
    def __init__(self, driver: Driver, failed: Execution) -> None:
        self._driver, self._best = driver, failed
        assert failed.failure is not None
        self._sort = failed.failure.sort
        self._tried = self._improved = 0
        self._began = time.perf_counter()

    def shrink(self) -> tuple[Execution, int]:
        if self._sort[0] == "no progress":
            # Endless executions take long, and show no more for being a little shorter.
            return self._best, self._tried
        if self._driver.scenario.workloads is not None:
            # Only a scenario with ``workloads`` promises that its rules hold for smaller workloads, too.
            while not self._spent and any(self._fails_anywhere(each) for each in smaller(self._best.workload)):
                pass
        self._end_by_default()
        self._without_tasks()
        self._cheaper()
        while any(self._accept(self._run(fewer, self._best.workload)) for fewer in self._fewer()):
            pass
        return self._best, self._tried

    @property
    def _spent(self) -> bool:
        late = self._tried >= min(_MOST, self._improved + _PATIENCE)
        return late or time.perf_counter() - self._began > _SECONDS

    def _end_by_default(self) -> None:
        """Find by binary search how much of the schedule is needed before default choices lead to the failure."""
        low, high = 0, len(self._best.steps)
        while low < high and not self._spent:
            middle = (low + high) // 2
            choices = [step.choice for step in self._best.steps[:middle]]
            if self._accept(self._run(Following(choices), self._best.workload)):
                high = min(middle, len(self._best.steps))
            else:
                low = middle + 1

    def _without_tasks(self) -> None:
        """Move tasks to the end, in ever smaller groups, where that still fails (after Zeller's delta debugging)."""
        tasks = sorted({step.lane for step in self._best.steps})
        size = len(tasks) // 2
        while size and not self._spent:
            for start in range(0, len(tasks), size):
                late = set(tasks[start : start + size])
                plan = [step.choice for step in self._best.steps if step.lane not in late and not step.waited]
                if not self._spent:
                    self._accept(self._run(Following(plan), self._best.workload))
            size //= 2

    def _run(self, scheduler: Scheduler, workload: Workload) -> Execution:
        self._tried += 1
        scheduler.start(None)
        return self._driver.run(scheduler, workload)

    def _accept(self, execution: Execution) -> bool:
        if execution.failure is None or execution.failure.sort != self._sort:
            return False
        if cost(execution) >= cost(self._best):
            return False
        if cost(execution)[:3] < cost(self._best)[:3]:
            self._improved = self._tried
        self._best = execution
        return True

    def _fails_anywhere(self, workload: Workload) -> bool:
        """Return whether *workload* fails under the best schedule so far, or under one that a short search finds."""
        same = Deviations({number: step.choice for number, step in enumerate(self._best.steps)})
        return self._accept(self._run(same, workload)) or self._search(workload, _SEARCH)

    def _cheaper(self) -> bool:
        """Search for a failure with fewer delays, preemptions and faults, cheapest first; return True if found."""
        if not any(cost(self._best)[1:3]):
            return False
        return self._search(self._best.workload, _SEARCH)

    def _search(self, workload: Workload, most: int) -> bool:
        explorer, previous = Exhaustive(), None
        for _ in range(most):
            if self._spent or not explorer.start(previous):
                return False
            previous = self._driver.run(explorer, workload)
            self._tried += 1
            if previous.stuck:
                return False
            if previous.failure is not None and previous.failure.sort == self._sort:
                return self._accept(previous)
        return False

    def _fewer(self) -> Iterator[Scheduler]:
        """Yield the best schedule so far without one of its switches, then one of its faults, then one of its blocks.

        If it has preemptions, blocks are also left out or joined while one fault is moved elsewhere.
        """
        choices = [step.choice for step in self._best.steps]
        switches = [number for number in range(1, len(choices)) if choices[number] != choices[number - 1]]
        for left_out in switches:
            if self._spent:
                return
            yield Deviations({number: choices[number] for number in switches if number != left_out})
        whole = atoms(self._best.steps)
        for fault in (number for number, atom in enumerate(whole) if atom.fault):
            yield Planned(without(whole, fault))
        for plan in (choices, *(elsewhere(choices) if self._best.preemptions else ())):
            for blocks in with_less(blocks_of(plan)):
                if self._spent:
                    return
                yield Following(list(chain.from_iterable(blocks)))


Blocks = Sequence[Sequence[str]]
"""A schedule in blocks: the uninterrupted choices of one task and those that it started, or a fault."""


def blocks_of(choices: Sequence[str]) -> Blocks:
    """Return *choices* divided into blocks."""
    return [list(block) for _, block in groupby(choices, lambda choice: Choice(choice).family)]


def with_less(blocks: Blocks) -> Iterator[Blocks]:
    """Yield *blocks* without one of them, and with two of a task joined, in the place of the first or the second."""
    last: dict[str, int] = {}
    for number, block in enumerate(blocks):
        yield [*blocks[:number], *blocks[number + 1 :]]
        name = Choice(block[0]).family
        if name in last:
            first = last[name]
            start, between, end = blocks[:first], blocks[first + 1 : number], blocks[number + 1 :]
            yield [*start, blocks[first], block, *between, *end]
            yield [*start, *between, blocks[first], block, *end]
        last[name] = number


def elsewhere(choices: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield *choices* with one fault moved to another place."""
    for number, choice in enumerate(choices):
        if Choice(choice).is_fault:
            others = [*choices[:number], *choices[number + 1 :]]
            for place in range(len(choices)):
                if place != number:
                    yield [*others[:place], choice, *others[place:]]


def smaller(workload: Workload) -> Iterator[Workload]:
    """Yield *workload* without one of its clients or calls."""
    clients = workload.clients
    if len(clients) > 1:
        for number in range(len(clients)):
            yield replace(workload, clients=clients[:number] + clients[number + 1 :])
    for number, client in enumerate(clients):
        if len(client.calls) > 1:
            for call in range(len(client.calls)):
                fewer = Client(client.calls[:call] + client.calls[call + 1 :])
                yield replace(workload, clients=(*clients[:number], fewer, *clients[number + 1 :]))
