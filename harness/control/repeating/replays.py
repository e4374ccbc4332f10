"""Replays a counterexample: the same schedule, step by step, any number of times."""

from __future__ import annotations

import time
from dataclasses import dataclass

from harness.control.repeating.confirm import replaying
from harness.control.testbed.testbed import open_testbed
from harness.errors import BadInput, Diverged
from harness.result import Execution
from harness.saved.counterexample import Counterexample
from harness.scenario import Scenario
from harness.values.redaction import redacted
from harness.verdict import Verdict

__all__ = ["Replayed", "replay"]


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result of replaying: how often it failed as recorded, or where it departed from the recording."""

    times: int
    failed_again: int
    verdict: Verdict
    divergence: str
    execution: Execution | None
    seconds: float
    startup_seconds: float


def replay(
    scenario: Scenario,
    counterexample: Counterexample,
    *,
    times: int = 1,
    isolation: str | None = None,
    patience: float | None = None,
) -> Replayed:
    """Replay *counterexample*, *times* times.

    The verdict is invalid when every replay fails as recorded, valid when none fails, and unknown when one departs from
    the recording (``divergence`` says where) or they differ among themselves. Raises ``BadInput`` if *times* is less
    than 1, and as ``open_testbed`` does.
    """
    if times < 1:
        raise BadInput(f"A counterexample can't be replayed {times} times: give 1 or more.")
    failed, execution, divergence = 0, None, ""
    scenario = counterexample.staged(scenario).allowing(counterexample.schedule)
    digests = [step.digest for step in counterexample.steps]
    with open_testbed(
        scenario, counterexample.workers, seed=counterexample.seed, isolation=isolation, patience=patience
    ) as stage:
        began = time.perf_counter()
        done = 0
        while done < times and not divergence:
            scheduler = replaying(counterexample.schedule, counterexample.steps)
            try:
                execution = stage.driver.run(scheduler, counterexample.workload)
                scheduler.compare(execution.steps)
                if execution.stuck:
                    divergence = execution.stuck
                elif len(execution.steps) < len(digests):
                    raise Diverged(len(execution.steps), digests[len(execution.steps)], "the execution has ended")
            except Diverged as error:
                divergence = str(error)
                break
            done += 1
            failed += execution.failure is not None and execution.failure.sort == (
                counterexample.failure.kind,
                counterexample.failure.rule,
            )
        elapsed = time.perf_counter() - began
    if divergence:
        verdict = Verdict.UNKNOWN
    elif failed == times:
        verdict = Verdict.INVALID
    else:
        verdict = (
            Verdict.VALID if failed == 0 and execution is not None and execution.failure is None else Verdict.UNKNOWN
        )
        if verdict is Verdict.UNKNOWN:
            divergence = f"{failed} of {times} replays failed as recorded; the others ended otherwise."
    if execution is not None:
        execution, clean = redacted(execution, scenario.secrets)
        divergence = clean(divergence)
    return Replayed(times, failed, verdict, divergence, execution, elapsed, stage.startup_seconds)
