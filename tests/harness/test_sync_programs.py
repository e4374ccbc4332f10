"""Right programs are valid and faulty ones invalid, in both journal modes; and nothing is lost by pruning."""

from __future__ import annotations

import pytest

from harness.verdict import Verdict
from tests.harness.counter import MODES, counts_to, explored, raced, reduced_and_brute
from tests.harness.sync_programs import PROGRAMS, Program

pytestmark = pytest.mark.forks

ALIKE = ("own_class", "class_called", "with_connection", "executemany")
"""To the scheduler these are ``implicit_transaction`` once more, and trying everything takes long."""
ENDLESS_FOR_BRUTE = ("deferred_upgrade_tried_again",)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_each_program_is_judged_right(program: Program, mode: str) -> None:
    """Two workers of each: valid and complete if it is right, else invalid with as few preemptions as it takes."""
    result = explored(raced(program.worker, mode, at_end=(counts_to(2),)))
    if program.correct:
        assert (result.verdict, result.complete) == (Verdict.VALID, True), result.reasons or result.counterexample
    else:
        assert result.verdict is Verdict.INVALID, result.reasons
        assert result.counterexample is not None
        assert result.counterexample.preemptions == program.preemptions


@pytest.mark.slow
@pytest.mark.parametrize("program", [program for program in PROGRAMS if str(program) not in ALIKE], ids=str)
def test_pruning_loses_no_outcome(program: Program) -> None:
    """The reduced search finds the outcomes that trying everything finds."""
    if str(program) in ENDLESS_FOR_BRUTE:
        pytest.skip("there is no end to trying everything")
    reduced, brute = reduced_and_brute(raced(program.worker, raising_fails=False))
    assert reduced == brute
