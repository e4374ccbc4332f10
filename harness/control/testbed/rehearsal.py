"""Runs one execution to learn which modules it imports, so that they can be imported before later processes are forked.

Only modules of the standard library and of installed packages: modules of the code under test may read, while they are
imported, settings that ``open`` has made before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.boundary import messages
from harness.control.testbed.processes import PoolGone, WorkerDied, WorkerStuck
from harness.schedulers.base import View, by_default

if TYPE_CHECKING:
    from harness.control.execution.driver import Driver
    from harness.result import Execution

__all__ = ["rehearse"]


class _Rehearsal:
    """A scheduler for one execution without preemptions and faults."""

    name = "rehearsal"

    def start(self, previous: Execution | None) -> bool:
        """Return True for the first execution only."""
        return previous is None

    def choose(self, view: View) -> str:
        """Return the default choice: no preemption, no fault."""
        return by_default(view)


def rehearse(driver: Driver, workers: int) -> tuple[str, ...]:
    """Run the scenario's workload once, and return the modules that it imported, in the order to import them in.

    How the execution ends does not matter: the search will run it again.
    """
    scheduler = _Rehearsal()
    scheduler.start(None)
    driver.run(scheduler, driver.scenario.workload(workers))
    found: dict[str, None] = {}
    for worker in driver.worker_pool.workers:
        try:
            news, _ = worker.ask(messages.modules())
        except (WorkerDied, WorkerStuck, PoolGone, BrokenPipeError):
            continue
        found.update(dict.fromkeys(name for names in news for name in names))
    return tuple(found)
