"""How the tests of libraries judge: a race is found and replayed, its corrected form is valid in every interleaving."""

from __future__ import annotations

from harness.control.repeating.replays import replay
from harness.result import Failure, Result
from harness.saved.counterexample import Counterexample
from harness.scenario import Scenario
from harness.verdict import Verdict
from tests.harness.counter import explored

MOST = 300
"""Executions in which a race must be found."""


def found_and_replayed(scenario: Scenario, times: int = 2) -> Failure:
    """Have the race in *scenario* be found, and replayed in fresh processes *times* times; return how it ends."""
    result: Result = explored(scenario, max_executions=MOST, explain=False)
    assert result.verdict is Verdict.INVALID, result.reasons or result.bound
    again = replay(scenario, Counterexample.of(result), times=times, patience=2.0)
    assert (again.verdict, again.failed_again, again.divergence) == (Verdict.INVALID, times, "")
    assert result.counterexample is not None
    assert result.counterexample.failure is not None
    return result.counterexample.failure


def valid_and_complete(scenario: Scenario) -> Result:
    """Have every interleaving of *scenario* be tried, and be right."""
    result = explored(scenario)
    assert (result.verdict, result.complete) == (Verdict.VALID, True), result.reasons or result.counterexample
    return result
