"""Everything an exploration needs, set up once and gone at the end: directory, template, processes, pinning."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import config
from harness.control.directories import held, shared_directory
from harness.control.execution import Driver
from harness.control.observer import Observer
from harness.control.pinning import pinned
from harness.control.postgres_world import PostgresWorld
from harness.control.processes import Fleet
from harness.control.world import World
from harness.errors import BadInput
from harness.inherited import Inherited
from harness.points import resolve
from harness.scenario import Scenario

__all__ = ["MOST_WORKERS", "Theatre", "theatre"]

MOST_WORKERS = 64


class Theatre:
    """A driver with its processes; ``startup_seconds`` is what it took to get it."""

    def __init__(self, driver: Driver, startup_seconds: float) -> None:
        self.driver, self.startup_seconds = driver, startup_seconds

    @contextmanager
    def isolated(self) -> Iterator[Driver]:
        """Have every execution run in freshly forked workers for a while."""
        before = self.driver.isolated
        self.driver.isolated = True
        try:
            yield self.driver
        finally:
            self.driver.isolated = before


@contextmanager
def theatre(
    scenario: Scenario, workers: int, *, seed: int = 0, isolation: str = "warm", patience: float = 5.0
) -> Iterator[Theatre]:
    """Set the stage for executions of *scenario* over *workers* worker processes.

    *seed* seeds the randomness of the code under test; *isolation* is ``warm`` (workers live on between executions)
    or ``fork`` (each execution gets fresh ones). A worker that reaches no schedule point for *patience* seconds of real
    time is stuck. Raises ``BadInput``, ``SetupFailed`` and ``Unsupported``.
    """
    if not 1 <= workers <= MOST_WORKERS:
        raise BadInput(f"{workers} workers can't be raced: the number must be from 1 to {MOST_WORKERS}.")
    if isolation not in ("warm", "fork"):
        raise BadInput(f"There is no isolation {isolation!r}: it is 'warm' or 'fork'.")
    for point in scenario.points:
        resolve(point)
    started = time.perf_counter()
    with pinned():
        directory = shared_directory()
        fleet = world = None
        try:
            fleet = Fleet(scenario, workers, directory, patience)
            world = _world(scenario, directory, fleet.inherited)
            with held(directory):
                fleet.set_up(world.db, str(seed))
                world.take_template()
                driver = Driver(scenario, fleet, world, Observer(world, scenario), seed)
                driver.isolated = isolation == "fork"
                for worker in fleet.workers:
                    fleet.fork(worker)
                yield Theatre(driver, time.perf_counter() - started)
        finally:
            if world is not None:
                world.close()
            if fleet is not None:
                fleet.close()
            shutil.rmtree(directory, ignore_errors=True)


def _world(scenario: Scenario, directory: Path, inherited: Inherited) -> World:
    if scenario.database == "postgresql":
        return PostgresWorld(directory, inherited, config.postgres())
    return World(directory, inherited)
