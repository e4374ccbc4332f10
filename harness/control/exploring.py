"""The search of a run: executions one after another in one testbed, or dealt to several processes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from harness.control.afresh import EarlyCheck
from harness.control.sharding.explorer import Setting
from harness.control.sharding.explorers import explorers
from harness.control.sharding.together import ExplorerExecutor, Place, explore_together
from harness.control.tally import Tally
from harness.control.testbed.testbed import Testbed
from harness.result import Execution
from harness.schedulers.base import Scheduler, SearchReport, report_of
from harness.schedulers.dealing import dealer_of
from harness.schedulers.wrappers.stop_early import StopEarly

if TYPE_CHECKING:
    from hypothesis.database import ExampleDatabase

__all__ = ["explore", "explore_dealt", "opened"]


def explore(
    stage: Testbed,
    scheduler: Scheduler | None,
    workers: int,
    *,
    preemptions: int | None,
    tally: Tally,
    remembered: ExampleDatabase | None,
) -> None:
    """Run executions until there are no more, one fails, one can't be judged, or the budget is spent.

    Without a *scheduler*, Hypothesis draws them, and remembers failing examples in *remembered*.
    """
    if scheduler is None:
        from harness.control.hypothesis_search import explore_drawn

        explore_drawn(stage.driver, workers, stage.driver.seed, tally=tally, remembered=remembered)
        return
    stops = tally.budget.stop_after
    _search(
        stage,
        scheduler if stops is None else StopEarly(scheduler, stops, tally.survey),
        workers,
        preemptions=preemptions,
        tally=tally,
    )


def _search(stage: Testbed, chosen: Scheduler, workers: int, *, preemptions: int | None, tally: Tally) -> None:
    driver, workload = stage.driver, stage.driver.scenario.workload(workers)
    check = EarlyCheck(stage)
    previous: Execution | None = None
    while chosen.start(previous):
        if bound := tally.budget.spent(tally.executions):
            tally.bound = bound
            break
        previous = driver.run(chosen, workload)
        tally.count(previous)
        if previous.failure is not None or previous.stuck:
            break
        check(previous, tally.executions)
    _conclude(report_of(chosen), preemptions, tally)


def _conclude(report: SearchReport, preemptions: int | None, tally: Tally) -> None:
    """Record the *report* of a search in *tally*; if it ended by itself, also the bound that it hit, if any."""
    tally.seen, tally.pct, tally.predicted = report.seen, report.pct, report.predicted
    if tally.bound or tally.failed is not None or tally.stuck or tally.doubts:
        return
    # An execution that hit the limit of steps was not explored to its end, whatever the scheduler says.
    tally.complete = report.complete and not tally.survey.bounded
    if tally.complete and report.cut:
        tally.within = f"at most {preemptions} preemptions in an execution"
    if not tally.complete:
        too_long = f"{tally.scenario.steps} steps in one execution" if tally.survey.bounded else ""
        tally.bound = report.stopped or too_long or "what its scheduler had to try"


def explore_dealt(
    executor: AbstractContextManager[ExplorerExecutor], scheduler: Scheduler, preemptions: int | None, *, tally: Tally
) -> tuple[float, int]:
    """Explore with several jobs; return the seconds that it took to start them, and their number."""
    dealer = dealer_of(scheduler, preemptions)
    startup, jobs = explore_together(executor, dealer, tally)
    _conclude(dealer.report(), preemptions, tally)
    return startup, jobs


def opened(jobs: int, cluster: Place | None, setting: Setting) -> AbstractContextManager[ExplorerExecutor]:
    """Return the context manager that starts the explorers, on this machine or on a cluster.

    On a cluster, 0 *jobs* stand for as many as its nodes have threads.
    """
    if cluster is not None:
        from harness.cluster.spread import spread

        return spread(cluster, jobs, setting)
    return explorers(jobs, setting)
