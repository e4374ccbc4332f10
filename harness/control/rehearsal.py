"""Runs one execution to see what it imports, so that processes to come have it imported before they are forked.

Only modules of the standard library and of installed packages: those of the code under test may read, as they are
imported, what ``open`` has set before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.control.processes import FleetGone, WorkerDied, WorkerStuck
from harness.schedulers.base import View, by_default

if TYPE_CHECKING:
    from harness.control.execution import Driver
    from harness.result import Execution

__all__ = ["rehearse"]


class _Rehearsal:
    """Takes what costs no preemption and no fault, once."""

    name = "rehearsal"

    def start(self, previous: Execution | None) -> bool:
        """Run one execution."""
        return previous is None

    def choose(self, view: View) -> str:
        """Go on."""
        return by_default(view)


def rehearse(driver: Driver, workers: int) -> tuple[str, ...]:
    """Run the scenario's workload once; return the modules that it imported, in the order in which they are to be imported.

    What becomes of the execution does not matter: the search will meet it again.
    """
    scheduler = _Rehearsal()
    scheduler.start(None)
    driver.run(scheduler, driver.scenario.workload(workers))
    found: dict[str, None] = {}
    for worker in driver.fleet.workers:
        try:
            news, _ = worker.ask("modules")
        except (WorkerDied, WorkerStuck, FleetGone, BrokenPipeError):
            continue
        found.update(dict.fromkeys(name for names in news for name in names))
    return tuple(found)
