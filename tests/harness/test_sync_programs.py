"""Right programs are valid and faulty ones invalid, in both journal modes; and nothing is lost by pruning."""

from __future__ import annotations

import pytest

from harness.verdict import Verdict
from tests.harness.counter import MODES, counts_to, explored, raced, reduced_and_brute
from tests.harness.sync_programs import PROGRAMS, Program

pytestmark = pytest.mark.forks

ENDLESS_FOR_BRUTE = ("deferred_upgrade_tried_again",)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_each_program_is_judged_right(program: Program, mode: str) -> None:
    """Two workers of each: valid and complete if it is right, else invalid by one preemption."""
    result = explored(raced(program.worker, mode, at_end=(counts_to(2),), **program.fields))
    if program.correct:
        assert (result.verdict, result.complete) == (Verdict.VALID, True), result.reasons or result.counterexample
    else:
        assert result.verdict is Verdict.INVALID, result.reasons
        assert result.counterexample is not None
        assert result.counterexample.preemptions == 1


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("program", [p for p in PROGRAMS if str(p) not in ENDLESS_FOR_BRUTE], ids=str)
def test_pruning_loses_no_outcome(program: Program, mode: str) -> None:
    """The reduced search finds the outcomes that trying everything finds."""
    fields = {**program.fields, "raising_fails": False}
    reduced, brute = reduced_and_brute(raced(program.worker, mode, **fields))
    assert reduced == brute
