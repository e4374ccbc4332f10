"""Runs many executions: until one fails, every interleaving is covered, or the budget is spent."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from harness.control.afresh import EarlyCheck, begun_anew, first_sentence
from harness.control.repeating.confirm import Unconfirmed, confirm, replay_once
from harness.control.repeating.neighbours import explain as explained
from harness.control.repeating.shrink import shrink
from harness.control.sharding.explorer import Setting
from harness.control.sharding.explorers import explorers
from harness.control.sharding.together import MOST_SLOTS, Place, Troupe, explore_together
from harness.control.tally import Budget, Progress, Tally
from harness.control.testbed.shortage import Shortage
from harness.control.testbed.testbed import MOST_WORKERS, Theatre, theatre
from harness.errors import BadInput, Diverged, HarnessError, SetupFailed, Unsupported
from harness.postgres.link import ServerSaid
from harness.result import Execution, Interrupted, Result
from harness.scenario import Scenario
from harness.schedulers.base import Scheduler
from harness.schedulers.dealing import Dealer, dealer_of
from harness.schedulers.greybox import Greybox
from harness.schedulers.pct import PCT
from harness.schedulers.portfolio import Portfolio
from harness.schedulers.pos import POS
from harness.schedulers.random_walk import RandomWalk
from harness.schedulers.tree.exhaustive import Exhaustive
from harness.schedulers.tree.stateful import Stateful
from harness.schedulers.wrappers.stop_early import StopEarly
from harness.values.redaction import Redactor, redacted
from harness.verdict import Verdict

if TYPE_CHECKING:
    from hypothesis.database import ExampleDatabase

__all__ = ["SCHEDULERS", "Progress", "run"]

SCHEDULERS = {
    "portfolio": "the cheapest interleavings in full, then samples in turns with further ones",
    "exhaustive": "every interleaving, equivalent ones once; fewest preemptions first",
    "random": "a uniform random walk",
    "pct": "random priorities, lowered at two random steps (depth 3)",
    "greybox": "executions that showed something new, varied",
    "pos": "a random priority for each operation, drawn anew where it conflicts with what ran",
    "hypothesis": "interleavings and workloads drawn, shrunk and remembered by Hypothesis",
    "brute": "every interleaving without reduction; what the reduction is tested against",
}
DEFAULT_EXECUTIONS = {"portfolio": 20_000, "exhaustive": 20_000, "brute": 20_000}


def run(
    scenario: Scenario,
    *,
    workers: int | None = None,
    scheduler: str | Scheduler = "portfolio",
    depth: int = 3,
    max_executions: int | None = None,
    preemptions: int | None = None,
    faults: int | None = None,
    delays: int | None = None,
    seconds: float | None = None,
    stop_after: int | None = None,
    seed: int = 0,
    jobs: int | None = None,
    cluster: Place | None = None,
    isolation: str | None = None,
    progress: Callable[[Progress], None] | None = None,
    outcomes: bool = False,
    patience: float | None = None,
    explain: bool = True,
    examples: str | None = None,
) -> Result:
    """Explore *scenario* and return the result.

    1. Start the processes, run ``setup`` once, and take the shared state that it made as the template.
    2. Run executions as the scheduler asks, until one fails, everything is covered or the budget is spent.
    3. Without a failure, run one more random walk and repeat it in fresh processes: if it does not repeat itself, the
       verdict is unknown and says where the two parted.
    4. Confirm a failure in freshly forked workers, shrink it, and confirm the shrunk execution.
    5. With *explain*, run neighbours of the shrunk execution to find out why it fails.
    6. If executions did not repeat themselves in processes that had run others, do all of this once more, with fresh
       processes for each execution.

    *scheduler* is a name from ``SCHEDULERS`` or a scheduler, *depth* the depth of ``pct``. The budget is
    *max_executions*, *seconds* of real time (shrinking not counted), and *stop_after* executions in a row that show
    nothing new. *preemptions* leaves out executions with more (exhaustive search only); *faults* and *delays* replace
    the scenario's bounds. *outcomes* has distinct outcomes counted, which is slower. With *jobs* above 1, so many
    processes explore at once, each on a core of its own if there are enough; the same number of jobs finds the same
    again, whatever the timing. On a *cluster*, *jobs* processes explore on its nodes, however many nodes there are; by
    default one for each of their threads. *examples* is a folder or a ``redis://`` URL in which Hypothesis keeps
    failing examples, instead of where its settings say. The other parameters are those of ``theatre``. Raises
    ``BadInput``, ``SetupFailed`` and ``Unsupported``.
    """
    workers = scenario.workers if workers is None else workers
    _check_budget(max_executions, seconds, stop_after)
    scenario = bounded(scenario.carried_out(isolation, patience), preemptions, faults, delays)
    name = scheduler if isinstance(scheduler, str) else scheduler.name
    if depth < 1:
        raise BadInput(f"A depth of {depth} makes no sense: a bug takes at least one ordering. Give 1 or more.")
    if isinstance(scheduler, str) and scheduler not in SCHEDULERS:
        raise BadInput(f"There is no scheduler {scheduler!r}: it is one of {', '.join(SCHEDULERS)}.")
    _check_jobs(jobs, cluster, scheduler)
    remembered = _remembered(examples, scheduler)
    budget = Budget(max_executions or DEFAULT_EXECUTIONS.get(name, 1_000), seconds, stop_after)
    tally = Tally(scenario, budget, progress or (lambda _: None))
    plan = _Plan(
        scenario, workers, scheduler, name, depth, preemptions, seed, jobs, cluster, outcomes, explain, remembered
    )  # fmt: skip
    result = plan.carry_out(tally)
    if not tally.departed or scenario.isolation != "warm" or not isinstance(scheduler, str):
        return result
    again = begun_anew(tally, tally.departed)
    try:
        result = replace(plan, scenario=replace(scenario, isolation="fork")).carry_out(again)
    except (SetupFailed, Unsupported) as error:
        reason = f"Nor could the run go on with fresh processes for each execution: {error}"
        return replace(result, reasons=(*result.reasons, reason))
    if tally.failed is not None and result.verdict is Verdict.VALID and not result.complete:
        # The failure may take a process that has run other executions before. The search in fresh processes was not
        # complete, so it does not show that there is no such race.
        reason = (
            "One execution failed in processes that had run others before, and the search in fresh ones did not end."
        )
        return replace(result, verdict=Verdict.UNKNOWN, reasons=(reason,))
    return result


@dataclass(frozen=True)
class _Plan:
    """The checked parameters of ``run``.

    ``name`` is the name of the scheduler, ``remembered`` the example database of Hypothesis.
    """

    scenario: Scenario
    workers: int
    scheduler: str | Scheduler
    name: str
    depth: int
    preemptions: int | None
    seed: int
    jobs: int | None
    cluster: Place | None
    outcomes: bool
    explain: bool
    remembered: ExampleDatabase | None

    def carry_out(self, tally: Tally) -> Result:
        """Explore, confirm, shrink and explain; count everything in *tally*, and return the result."""
        scenario, workers, seed = self.scenario, self.workers, self.seed
        scheduler = self.scheduler
        if isinstance(scheduler, str) and scheduler != "hypothesis":
            scheduler = _scheduler(scheduler, seed, self.preemptions, self.depth)
        startup = 0.0
        jobs = 1 if self.jobs is None and self.cluster is None else self.jobs or 0
        together = jobs != 1 or self.cluster is not None
        if together:
            assert not isinstance(scheduler, str)
            setting = Setting(scenario, workers, seed, scenario.isolation, scenario.patience, self.outcomes)
            dealer = dealer_of(scheduler, self.preemptions)
            startup, jobs = _dealt(_opened(jobs, self.cluster, setting), dealer, self.preemptions, tally)
        # With several jobs, this testbed is only for the recheck, confirming, shrinking and explaining.
        with theatre(scenario, workers, seed=seed) as stage:
            stage.driver.wants_outcomes = self.outcomes
            run_of = partial(
                replace, workers=workers, scheduler=self.name, seed=seed, startup_seconds=startup + stage.startup_seconds,
                jobs=jobs, isolation=scenario.isolation, patience=scenario.patience,
            )  # fmt: skip
            found = None
            try:
                if not together:
                    tally.budget.begin()
                    _explore(stage, scheduler, workers, self.preemptions, tally, self.remembered)
                tally.explored()
                if tally.failed is None and not tally.stuck and not tally.doubts:
                    _recheck(stage, tally)
                    if short := stage.driver.short():
                        _doubt(tally, short)
                if tally.failed is not None:
                    found = redacted(_minimal(stage, tally.failed, tally), scenario.secrets)[0]
            except (Diverged, Unconfirmed) as error:
                tally.departed = _doubt(tally, str(error), first_sentence(error))
            except (Shortage, ServerSaid) as error:
                _doubt(tally, str(error))
            except KeyboardInterrupt:
                raise Interrupted(run_of(_partial(tally))) from None
            result = tally.result(found)
            if found is not None and self.explain:
                result = _explained(stage, result, found, tally)
            return run_of(result)


def _partial(tally: Tally) -> Result:
    """Return the result of an interrupted run: its counts so far, and an unknown verdict."""
    text = "It was interrupted."
    if tally.failed is not None and tally.failed.failure is not None:
        failure = tally.failed.failure
        text += f" One execution had failed ({failure.kind} {failure.rule!r}: {failure.message}), which was not confirmed yet."
    _doubt(tally, text)
    return tally.result(None)


def _doubt(tally: Tally, text: str, short: str = "") -> str:
    """Add *text*, without the failure's secrets, to the reasons for an unknown verdict; return *short* without them."""
    tally.explored()
    history = tally.failed.history if tally.failed is not None else ()
    redactor = Redactor(history, tally.scenario.secrets)
    tally.doubts.append(redactor.text(text))
    return redactor.text(short)


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


def _dealt(
    opened: AbstractContextManager[Troupe], dealer: Dealer, preemptions: int | None, tally: Tally
) -> tuple[float, int]:
    """Explore with several jobs; return the seconds that it took to start them, and their number."""
    startup, jobs = explore_together(opened, dealer, tally)
    _conclude(dealer, preemptions, tally)
    tally.seen, tally.pct = getattr(dealer, "seen", None), getattr(dealer, "pct", {})
    return startup, jobs


def _remembered(examples: str | None, scheduler: str | Scheduler) -> ExampleDatabase | None:
    if examples is None:
        return None
    if scheduler != "hypothesis":
        raise BadInput(
            f"An example database, {examples!r}, is of use to Hypothesis only: no other scheduler remembers anything from one "
            "run to the next. Leave it out, or take the scheduler 'hypothesis'."
        )
    from harness.examples.database import examples_in

    return examples_in(examples)


def _opened(jobs: int, cluster: Place | None, setting: Setting) -> AbstractContextManager[Troupe]:
    """Return the context manager that starts the explorers, on this machine or on a cluster.

    On a cluster, 0 *jobs* stand for as many as its nodes have threads.
    """
    if cluster is not None:
        from harness.cluster.spread import spread

        return spread(cluster, jobs, setting)
    return explorers(jobs, setting)


def bounded(scenario: Scenario, preemptions: int | None, faults: int | None, delays: int | None = None) -> Scenario:
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


def _scheduler(name: str, seed: int, preemptions: int | None, depth: int) -> Scheduler:
    makers: dict[str, Callable[[], Scheduler]] = {
        "portfolio": lambda: Portfolio(seed) if preemptions is None else Exhaustive(preemptions=preemptions),
        "random": lambda: RandomWalk(seed),
        "pct": lambda: PCT(seed, depth),
        "pos": lambda: POS(seed),
        "greybox": lambda: Greybox(seed),
    }
    if name in makers:
        return makers[name]()
    return Stateful() if name == "exhaustive" and preemptions is None else Exhaustive(name == "exhaustive", preemptions)


def _explore(
    stage: Theatre,
    scheduler: str | Scheduler,
    workers: int,
    preemptions: int | None,
    tally: Tally,
    remembered: ExampleDatabase | None,
) -> None:
    """Run executions until there are no more, one fails, one can't be judged, or the budget is spent."""
    if isinstance(scheduler, str):
        from harness.control.hypothesis_search import explore_drawn

        explore_drawn(stage.driver, workers, stage.driver.seed, tally, remembered=remembered)
        return
    stops = tally.budget.stop_after
    _search(
        stage, scheduler if stops is None else StopEarly(scheduler, stops, tally.survey), workers, preemptions, tally
    )
    tally.seen, tally.pct = getattr(scheduler, "seen", None), getattr(scheduler, "pct", {})
    tally.foreseen = getattr(scheduler, "foreseen", 0)


def _search(stage: Theatre, chosen: Scheduler, workers: int, preemptions: int | None, tally: Tally) -> None:
    driver, workload = stage.driver, stage.driver.scenario.workload(workers)
    check = EarlyCheck(stage)
    previous: Execution | None = None
    while chosen.start(previous):
        if bound := tally.budget.spent(tally.executions):
            tally.bound = bound
            return
        previous = driver.run(chosen, workload)
        tally.count(previous)
        if previous.failure is not None or previous.stuck:
            return
        check(previous, tally.executions)
    _conclude(chosen, preemptions, tally)


def _conclude(chosen: Scheduler | Dealer, preemptions: int | None, tally: Tally) -> None:
    """Record in *tally*, if the search ended by itself, whether it covered everything, or the bound it hit."""
    if tally.bound or tally.failed is not None or tally.stuck or tally.doubts:
        return
    # An execution that hit the limit of steps was not explored to its end, whatever the scheduler says.
    tally.complete = bool(getattr(chosen, "complete", False)) and not tally.survey.bounded
    if tally.complete and getattr(chosen, "cut", False):
        tally.within = f"at most {preemptions} preemptions in an execution"
    if not tally.complete:
        too_long = f"{tally.scenario.steps} steps in one execution" if tally.survey.bounded else ""
        tally.bound = getattr(chosen, "stopped", "") or too_long or "what its scheduler had to try"


def _minimal(stage: Theatre, failed: Execution, tally: Tally) -> Execution:
    """Return the smallest execution found that fails like *failed*; both are confirmed in fresh processes."""
    tally.report("confirming")
    confirmed = confirm(stage, failed)
    tally.report("shrinking")
    smallest, tried = shrink(stage.driver, failed)
    tally.shrinking += tried
    try:
        return confirm(stage, smallest)
    except Unconfirmed:
        # The failure that was found first has repeated itself, so it stands.
        return confirmed


def _explained(stage: Theatre, result: Result, found: Execution, tally: Tally) -> Result:
    """Return *result* with an explanation of why *found* fails.

    If explaining raises an error, the failure stands, and ``unexplained`` has the error's text.
    """
    tally.report("explaining")
    try:
        explanation = explained(stage.driver, found, executions=tally.executions, failures=tally.failures)
    except HarnessError as error:
        return replace(result, unexplained=str(error))
    return replace(result, explanation=explanation)


def _recheck(stage: Theatre, tally: Tally) -> None:
    """Run one more random walk, and repeat it in fresh processes; raises ``Diverged`` if that differs.

    If the walk itself fails or can't be judged, it is counted like any other execution instead.
    """
    walk = RandomWalk(stage.driver.seed)
    walk.start(None)
    first = stage.driver.run(walk, tally.scenario.workload(stage.driver.fleet.size))
    if first.failure is not None or first.stuck:
        tally.count(first)
        return
    with stage.isolated():
        replay_once(stage, first)
