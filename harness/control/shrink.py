"""Makes a failing execution small: fewer clients and calls, fewer faults and preemptions, shorter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.control.execution import Driver
from harness.result import Execution, fault_count
from harness.scenario import Client, Workload
from harness.schedulers.base import Scheduler, View, by_default
from harness.schedulers.exhaustive import Exhaustive

__all__ = ["Deviations", "shrink"]

_SEARCH = 150
"""Executions that one attempt to find a cheaper failure, or a failure of a smaller workload, may take."""


class Deviations:
    """Goes on with the same task except at the steps given, where another choice is made if it can be."""

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


def cost(execution: Execution) -> tuple[int, int, int, int]:
    """Return what is to be made small: calls, faults and preemptions, waits, steps."""
    calls = sum(len(client.calls) for client in execution.workload.clients)
    waits = sum(step.waited for step in execution.steps)
    return calls, fault_count(execution.steps) + execution.preemptions, waits, len(execution.steps)


def shrink(driver: Driver, failed: Execution) -> tuple[Execution, int]:
    """Return the smallest execution found that breaks the same rule as *failed*, and how many were tried."""
    return _Shrinker(driver, failed).shrink()


class _Shrinker:
    def __init__(self, driver: Driver, failed: Execution) -> None:
        self._driver, self._best = driver, failed
        assert failed.failure is not None
        self._sort = failed.failure.sort
        self._tried = 0

    def shrink(self) -> tuple[Execution, int]:
        if self._sort[0] == "no progress":
            # Endless executions take long, and show no more for being a little shorter.
            return self._best, self._tried
        if self._driver.scenario.workloads is not None:
            # Only then do the rules hold for other workloads than the one given.
            while any(self._fails_anywhere(workload) for workload in smaller(self._best.workload)):
                pass
        self._cheaper()
        while any(self._accept(self._run(Deviations(fewer), self._best.workload)) for fewer in self._fewer()):
            pass
        return self._best, self._tried

    def _run(self, scheduler: Scheduler, workload: Workload) -> Execution:
        self._tried += 1
        scheduler.start(None)
        return self._driver.run(scheduler, workload)

    def _accept(self, execution: Execution) -> bool:
        if execution.failure is None or execution.failure.sort != self._sort:
            return False
        if cost(execution) >= cost(self._best):
            return False
        self._best = execution
        return True

    def _fails_anywhere(self, workload: Workload) -> bool:
        """Whether *workload* fails under the schedule at hand, or under one that a short search finds."""
        same = Deviations({number: step.choice for number, step in enumerate(self._best.steps)})
        return self._accept(self._run(same, workload)) or self._search(workload, _SEARCH)

    def _cheaper(self) -> bool:
        """Look for a failure with fewer preemptions and faults, cheapest first."""
        if fault_count(self._best.steps) + self._best.preemptions == 0:
            return False
        return self._search(self._best.workload, _SEARCH)

    def _search(self, workload: Workload, most: int) -> bool:
        explorer, previous = Exhaustive(), None
        for _ in range(most):
            if not explorer.start(previous):
                return False
            previous = self._driver.run(explorer, workload)
            self._tried += 1
            if previous.stuck:
                return False
            if previous.failure is not None and previous.failure.sort == self._sort:
                return self._accept(previous)
        return False

    def _fewer(self) -> Iterator[dict[int, str]]:
        """Yield the schedule at hand with one switch less: the same task goes on instead, until it can't."""
        choices = [step.choice for step in self._best.steps]
        switches = [number for number in range(1, len(choices)) if choices[number] != choices[number - 1]]
        for switch in switches:
            end = next((number for number in switches if number > switch), len(choices))
            yield dict(enumerate([*choices[:switch], *choices[end:]]))
            yield {number: choices[number] for number in switches if number != switch}


def smaller(workload: Workload) -> Iterator[Workload]:
    """Yield *workload* with one client or one call less."""
    clients = workload.clients
    if len(clients) > 1:
        for number in range(len(clients)):
            yield replace(workload, clients=clients[:number] + clients[number + 1 :])
    for number, client in enumerate(clients):
        if len(client.calls) > 1:
            for call in range(len(client.calls)):
                fewer = Client(client.calls[:call] + client.calls[call + 1 :])
                yield replace(workload, clients=(*clients[:number], fewer, *clients[number + 1 :]))
