"""Whatever a step touches is told: programs that are found only then, and the same outcomes as when everything is tried."""

from __future__ import annotations

import pytest

from harness import Verdict
from harness.control.run import run
from tests.harness.counter import reduced_and_brute
from tests.harness.footprint_programs import Racy, raced
from tests.harness.footprints_of_files import RACY as FILES
from tests.harness.footprints_of_sql import RACY as SQL

pytestmark = pytest.mark.forks

PROGRAMS = {**SQL, **FILES}

SHORT = (
    "made by connect", "not yet made by connect", "a log of readers only", "no log after the last close", "serialize",
    "a file with two names, by path", "a directory's links", "length by lseek", "a raw file", "a mode by descriptor",
)  # fmt: skip
"""There trying everything takes few executions. The others were tried by hand, up to 1,200 executions each."""


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_others_can_see_is_found(name: str) -> None:
    """The search meets the interleaving in which one sees the other between two of its operations."""
    program: Racy = PROGRAMS[name]
    result = run(raced(name, program), scheduler="exhaustive", max_executions=500, explain=False, patience=20.0)
    assert result.verdict is Verdict.INVALID, result.reasons or "complete" * result.complete
    assert result.counterexample is not None
    assert result.counterexample.failure is not None
    assert "they returned" in result.counterexample.failure.message


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_pruning_loses_no_outcome(name: str) -> None:
    """The reduced search finds the outcomes that trying everything finds."""
    reduced, brute = reduced_and_brute(raced(name, PROGRAMS[name], ruled=False), most=2_000)
    assert reduced == brute
