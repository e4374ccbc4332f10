"""The options of a run, as one value, and the limits that it checks them against."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.control.sharding.explorer import Setting
from harness.control.sharding.together import MOST_SLOTS, Place
from harness.control.strategy_names import DEFAULT_EXECUTIONS, SCHEDULERS, scheduler_named
from harness.control.tally import Budget
from harness.control.testbed.testbed import MOST_WORKERS
from harness.errors import BadInput
from harness.project.suggestions import nearest
from harness.scenario import Scenario
from harness.schedulers.base import Scheduler

if TYPE_CHECKING:
    from hypothesis.database import ExampleDatabase

__all__ = ["Place", "RunOptions", "bounded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a scenario is explored. None stands for the scenario's own value, or for no limit.

    *scheduler* is a name from ``SCHEDULERS`` or a scheduler, *depth* the depth of ``pct``. The budget is
    *max_executions*, *seconds* of real time (shrinking not counted), and *stop_after* executions in a row that show
    nothing new. *preemptions* leaves out executions with more (exhaustive search only); *faults* and *delays* replace
    the scenario's bounds. *outcomes* has distinct outcomes counted, which is slower. With *jobs* above 1, so many
    processes explore at once, each on a core of its own if there are enough; the same number of jobs finds the same
    again, whatever the timing. On a *cluster*, *jobs* processes explore on its nodes, however many nodes there are; by
    default one for each of their threads. *explain* has a failure explained. *examples* is a folder or a ``redis://`` URL
    in which Hypothesis keeps failing examples, instead of where its settings say. *isolation* and *patience* are those of
    ``open_testbed``; *server* is the URL of a PostgreSQL server to race over.
    """

    workers: int | None = None
    scheduler: str | Scheduler = "portfolio"
    depth: int = 3
    max_executions: int | None = None
    preemptions: int | None = None
    faults: int | None = None
    delays: int | None = None
    seconds: float | None = None
    stop_after: int | None = None
    seed: int = 0
    jobs: int | None = None
    cluster: Place | None = None
    isolation: str | None = None
    outcomes: bool = False
    patience: float | None = None
    explain: bool = True
    examples: str | None = None
    server: str | None = None

    @property
    def name(self) -> str:
        """The name of the scheduler."""
        return self.scheduler if isinstance(self.scheduler, str) else self.scheduler.name

    @property
    def shared(self) -> bool:
        """Whether several processes explore, here or on a cluster."""
        return self.jobs not in (None, 1) or self.cluster is not None

    @property
    def budget(self) -> Budget:
        """The budget; without a number of executions, the scheduler's default."""
        return Budget(self.max_executions or DEFAULT_EXECUTIONS.get(self.name, 1_000), self.seconds, self.stop_after)

    def over(self, scenario: Scenario) -> Scenario:
        """Return *scenario* with these options' bounds, isolation, patience and server; raises ``BadInput``."""
        self._check()
        carried_out = scenario.carried_out(self.isolation, self.patience, self.server)
        return bounded(carried_out, self.preemptions, self.faults, delays=self.delays)

    def chosen(self) -> Scheduler | None:
        """Return a new scheduler for one search, or None if Hypothesis draws the executions."""
        if not isinstance(self.scheduler, str):
            return self.scheduler
        if self.scheduler == "hypothesis":
            return None
        return scheduler_named(self.scheduler, self.seed, self.preemptions, depth=self.depth)

    def setting(self, scenario: Scenario, workers: int) -> Setting:
        """Return the setting that each of several explorers needs to run executions of *scenario*."""
        return Setting(scenario, workers, self.seed, scenario.isolation, scenario.patience, self.outcomes)

    def database(self) -> ExampleDatabase | None:
        """Return the example database that was asked for; raises ``BadInput`` if it can't be used."""
        if self.examples is None:
            return None
        from harness.examples.database import examples_in

        return examples_in(self.examples)

    def _check(self) -> None:
        _check_budget(self.max_executions, self.seconds, self.stop_after)
        if self.depth < 1:
            raise BadInput(
                f"A depth of {self.depth} makes no sense: a bug takes at least one ordering. Give 1 or more."
            )
        if isinstance(self.scheduler, str) and self.scheduler not in SCHEDULERS:
            raise BadInput(f"There is no scheduler {self.scheduler!r}. {nearest(self.scheduler, SCHEDULERS)}")
        _check_jobs(self.jobs, self.cluster, self.scheduler)
        if self.examples is not None and self.scheduler != "hypothesis":
            raise BadInput(
                f"An example database, {self.examples!r}, is of use to Hypothesis only: no other scheduler remembers anything "
                "from one run to the next. Leave it out, or take the scheduler 'hypothesis'."
            )


def _check_budget(max_executions: int | None, seconds: float | None, stop_after: int | None) -> None:
    if max_executions is not None and max_executions < 1:
        raise BadInput(f"The budget of {max_executions} executions allows none: give 1 or more.")
    if seconds is not None and not (seconds > 0 and math.isfinite(seconds)):
        raise BadInput(f"The time budget of {seconds} seconds makes no sense: give a number above 0.")
    if stop_after is not None and stop_after < 1:
        raise BadInput(f"Stopping after {stop_after} executions that show nothing new allows none: give 1 or more.")


def _check_jobs(jobs: int | None, cluster: Place | None, scheduler: str | Scheduler) -> None:
    most = MOST_WORKERS if cluster is None else MOST_SLOTS
    if jobs is not None and not 1 <= jobs <= most:
        raise BadInput(f"{jobs} jobs can't be run: the number must be from 1 to {most}.")
    if cluster is None and jobs in (None, 1):
        return
    whom, what = (f"{jobs} jobs", "jobs") if cluster is None else ("the nodes of a cluster", "cluster")
    if scheduler == "hypothesis":
        raise BadInput(
            "Hypothesis draws one example after another, each with what it learnt of those before, so it can't explore with "
            f"{whom}. Leave the {what} out, or take another scheduler; the default is made for several."
        )
    if not isinstance(scheduler, str):
        raise BadInput(
            f"The scheduler {scheduler.name!r} was given as an object, which can't be dealt to {whom}. "
            f"Give the name of one, or leave the {what} out."
        )


def bounded(scenario: Scenario, preemptions: int | None, faults: int | None, *, delays: int | None = None) -> Scenario:
    """Return *scenario* with budgets of *faults* and *delays*; raises ``BadInput`` for a bound that makes no sense."""
    if preemptions is not None and preemptions < 0:
        raise BadInput(f"A bound of {preemptions} preemptions makes no sense: give 0 or more.")
    if delays is not None:
        scenario = replace(scenario, delays=delays)
    if faults is None:
        return scenario
    if faults and not replace(scenario.faults, most=1).kinds:
        raise BadInput(
            f"The scenario {scenario.name!r} has no fault that could be injected, so a budget of {faults} is in vain."
        )
    return replace(scenario, faults=replace(scenario.faults, most=faults))
