"""Runs many executions: until one fails, every interleaving is covered, or the budget is spent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from harness.control.afresh import begun_anew, first_sentence
from harness.control.conclusion import explained, minimal, recheck
from harness.control.exploring import explore, explore_dealt, opened
from harness.control.options import Place, RunOptions
from harness.control.repeating.confirm import Unconfirmed
from harness.control.tally import Progress, Tally
from harness.control.testbed.shortage import Shortage
from harness.control.testbed.testbed import open_testbed
from harness.errors import Diverged, SetupFailed, Unsupported
from harness.postgres.link import ServerSaid
from harness.result import Interrupted, Result
from harness.scenario import Scenario
from harness.schedulers.base import Scheduler
from harness.values.redaction import Redactor, redacted
from harness.verdict import Verdict

if TYPE_CHECKING:
    from hypothesis.database import ExampleDatabase

__all__ = ["carry_out", "run"]


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
    server: str | None = None,
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

    The options are the fields of ``RunOptions``; *progress* is called while the run goes on. Raises ``BadInput``,
    ``SetupFailed`` and ``Unsupported``.
    """
    options = RunOptions(
        workers=workers, scheduler=scheduler, depth=depth, max_executions=max_executions, preemptions=preemptions,
        faults=faults, delays=delays, seconds=seconds, stop_after=stop_after, seed=seed, jobs=jobs, cluster=cluster,
        isolation=isolation, outcomes=outcomes, patience=patience, explain=explain, examples=examples, server=server,
    )  # fmt: skip
    return carry_out(scenario, options, progress)


def carry_out(scenario: Scenario, options: RunOptions, progress: Callable[[Progress], None] | None = None) -> Result:
    """Explore *scenario* as *options* say, and return the result, as ``run``."""
    scenario = options.over(scenario)
    remembered = options.database()
    tally = Tally(scenario, options.budget, progress or (lambda _: None))
    result = _attempt(scenario, options, tally, remembered=remembered)
    if not tally.departed or scenario.isolation != "warm" or not isinstance(options.scheduler, str):
        return result
    again = begun_anew(tally, tally.departed)
    try:
        result = _attempt(replace(scenario, isolation="fork"), options, again, remembered=remembered)
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


def _attempt(scenario: Scenario, options: RunOptions, tally: Tally, *, remembered: ExampleDatabase | None) -> Result:
    """Explore, confirm, shrink and explain; count everything in *tally*, and return the result.

    *remembered* is the example database of Hypothesis, None for the one of its settings.
    """
    workers = scenario.workers if options.workers is None else options.workers
    scheduler = options.chosen()
    startup, jobs = 0.0, 1
    if options.shared:
        assert scheduler is not None
        executor = opened(options.jobs or 0, options.cluster, options.setting(scenario, workers))
        startup, jobs = explore_dealt(executor, scheduler, options.preemptions, tally=tally)
    # With several jobs, this testbed is only for the recheck, confirming, shrinking and explaining.
    with open_testbed(scenario, workers, seed=options.seed) as stage:
        stage.driver.wants_outcomes = options.outcomes
        run_of = partial(
            replace, workers=workers, scheduler=options.name, seed=options.seed, jobs=jobs,
            startup_seconds=startup + stage.startup_seconds, isolation=scenario.isolation, patience=scenario.patience,
        )  # fmt: skip
        found = None
        try:
            if not options.shared:
                tally.budget.begin()
                explore(stage, scheduler, workers, preemptions=options.preemptions, tally=tally, remembered=remembered)
            tally.explored()
            if tally.failed is None and not tally.stuck and not tally.doubts:
                recheck(stage, tally)
                if short := stage.driver.short():
                    _doubt(tally, short)
            if tally.failed is not None:
                found = redacted(minimal(stage, tally.failed, tally), scenario.secrets)[0]
        except (Diverged, Unconfirmed) as error:
            tally.departed = _doubt(tally, str(error), first_sentence(error))
        except (Shortage, ServerSaid) as error:
            _doubt(tally, str(error))
        except KeyboardInterrupt:
            raise Interrupted(run_of(_partial(tally))) from None
        result = tally.result(found)
        if found is not None and options.explain:
            result = explained(stage, result, found, tally=tally)
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
