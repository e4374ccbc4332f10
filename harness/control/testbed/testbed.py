"""The testbed of an exploration, set up once and removed at the end: directory, template, processes, pinning."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness.boundary.inherited_locks import Inherited
from harness.control.execution.driver import Driver
from harness.control.rules.observer import Observer
from harness.control.testbed.directories import held, shared_directory
from harness.control.testbed.pinning import pinned
from harness.control.testbed.processes import WorkerPool
from harness.control.testbed.rehearsal import rehearse
from harness.control.testbed.shared_database import SharedDatabase
from harness.control.testbed.shared_files import SharedState
from harness.errors import BadInput, require_asserts
from harness.points import resolve
from harness.project import config
from harness.scenario import Scenario

__all__ = ["MOST_WORKERS", "Testbed", "open_testbed"]

MOST_WORKERS = 64


class Testbed:
    """A testbed: a driver with its processes. It took ``startup_seconds`` to set up."""

    __test__ = False  # pytest is not to take it for a class of tests

    def __init__(self, driver: Driver, startup_seconds: float) -> None:
        self.driver, self.startup_seconds = driver, startup_seconds

    @contextmanager
    def isolated(self) -> Iterator[Driver]:
        """Have every execution run in freshly forked workers while the context lasts."""
        before = self.driver.isolated
        self.driver.isolated = True
        try:
            yield self.driver
        finally:
            self.driver.isolated = before


@contextmanager
def open_testbed(
    scenario: Scenario, workers: int, *, seed: int = 0, isolation: str | None = None, patience: float | None = None
) -> Iterator[Testbed]:
    """Set up a testbed for executions of *scenario* with *workers* worker processes.

    *seed* seeds the randomness of the code under test. *isolation* is ``warm`` (workers live on between executions) or
    ``fork`` (each execution gets fresh workers; libraries that a first execution, the rehearsal, imported are imported
    before they are forked). A worker that reaches no schedule point for *patience* seconds of real time is stuck.
    *isolation* and *patience* are the scenario's by default. Raises ``BadInput``, ``SetupFailed`` and ``Unsupported``.
    """
    require_asserts()
    if not 1 <= workers <= MOST_WORKERS:
        raise BadInput(f"{workers} workers can't be raced: the number must be from 1 to {MOST_WORKERS}.")
    scenario = scenario.carried_out(isolation, patience)
    for point in scenario.points:
        resolve(point)
    started = time.perf_counter()
    with ExitStack() as first:
        stage = first.enter_context(_opened_testbed(scenario, workers, seed, started=started))
        imports = rehearse(stage.driver, workers) if scenario.isolation == "fork" else ()
        if not imports:
            stage.driver.isolated = scenario.isolation == "fork"
            stage.startup_seconds = time.perf_counter() - started
            yield stage
            return
    # The fork server of the first testbed has forked already, too early for these imports: set up a second one.
    with _opened_testbed(scenario, workers, seed, started=started, imports=imports) as stage:
        stage.driver.isolated = True
        yield stage


@contextmanager
def _opened_testbed(
    scenario: Scenario, workers: int, seed: int, *, started: float, imports: tuple[str, ...] = ()
) -> Iterator[Testbed]:
    """Set up a testbed, with the modules *imports* imported before workers are forked."""
    with pinned():
        directory = shared_directory()
        worker_pool = world = driver = None
        try:
            worker_pool = WorkerPool(scenario, workers, directory, patience=scenario.patience, imports=imports)
            world = _world(scenario, directory, worker_pool.inherited)
            with held(directory):
                worker_pool.set_up(world.db, str(seed))
                world.take_template()
                driver = Driver(scenario, worker_pool, world, Observer(world, scenario), seed)
                for worker in worker_pool.workers:
                    worker_pool.fork(worker)
                yield Testbed(driver, time.perf_counter() - started)
        finally:
            if driver is not None:
                driver.audit.close()
            if world is not None:
                world.close()
            if worker_pool is not None:
                worker_pool.close()
            shutil.rmtree(directory, ignore_errors=True)


def _world(scenario: Scenario, directory: Path, inherited: Inherited) -> SharedState:
    if scenario.database == "postgresql":
        return SharedDatabase(directory, inherited, scenario.server or config.postgres())
    return SharedState(directory, inherited)
