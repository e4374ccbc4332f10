"""What is said of a run's coverage: enough to know what a pass means, within 80 columns, and nothing more than is so."""

from __future__ import annotations

from typing import Any

import pytest

from harness.coverage.totals import Coverage
from harness.reports.text.coverage_lines import at_most, coverage_lines, not_covered, part
from harness.reports.text.gate_table import GateRow
from harness.reports.text.summary import summary
from harness.reports.text.terminal import columns
from harness.result import Result
from harness.verdict import Verdict

VALID = Verdict.VALID
LIMITED = Coverage(
    interleavings=84, answers=5, states=27, both_orders=11, one_order=3, since_new=19, bounded=2, seen=0.5321,
    only=(("c0 COMMIT at database.py:63", "c1 INSERT at reservations.py:332"), ("c0 a", "c1 b"), ("c0 c", "c1 d")),
    unreached=("a.py:1 execute", "a.py:2 commit", "\x1b[31m.py:3 rollback"), uncalled=("c0: later(1)@w0",),
    fault_places=88, faults_tried=31, tasks=2, steps=10, pct={1: 9, 2: 8, 3: 8},
    residual={1: 0.00124, 2: 0.441, 3: 0.9961},
)  # fmt: skip


def _result(**more: Any) -> Result:
    values: dict[str, Any] = {
        "scenario": "issue-token", "variant": "", "workers": 2, "scheduler": "portfolio", "verdict": VALID, "executions": 4,
        "complete": False, "failures": 0, "seconds": 0.25, "bound": "4 executions", "coverage": LIMITED,
    }  # fmt: skip
    return Result(**{**values, **more})


def test_a_limited_pass_says_what_it_does_not_mean() -> None:
    """What was seen, how much of the tree, the chance that a bug escaped, and what never came."""
    assert "\n".join(coverage_lines(_result(), 80)) == (
        "Covered: 84 interleavings (up to the order of independent steps), 5 sets of\n"
        "answers, 27 states of the shared files. Executions since anything was new: 19.\n"
        "Reached the step limit, after which a fair schedule took over: 2 executions.\n"
        "Of the tree of interleavings, at most 53.2 % was seen.\n"
        "Probability that a bug escaped, at most: 0.0013 (depth 1), 0.45 (depth 2), 1\n"
        "(depth 3). That is PCT's bound for 2 tasks and 10 steps, without faults.\n"
        "Conflicting pairs: 11 in both orders, 3 in one only: c0 COMMIT at database.py:63\n"
        "before c1 INSERT at reservations.py:332; and 2 more.\n"
        "Faults were injected at 31 of 88 possible places.\n"
        "Never called: c0: later(1)@w0.\n"
        "Never reached in functions that ran: a.py:1 execute; a.py:2 commit; and 1 more."
    )


def test_a_complete_pass_says_what_it_did_not_reach() -> None:
    """Nothing is left of the tree, but code that no execution reached is not covered by it."""
    said = " ".join(coverage_lines(_result(complete=True, bound=""), 200))
    assert "Never reached" in said
    assert "Never called" in said
    assert not any(word in said for word in ("tree", "chance", "Conflicting", "since", "struck"))


def test_without_pct_there_is_no_bound() -> None:
    """Then nothing is claimed."""
    (said,) = (line for line in coverage_lines(_result(coverage=Coverage(answers=1)), 80) if "escaped" in line)
    assert said == "No bound on the probability that a bug escaped: PCT ran no execution."


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("complete", [True, False])
def test_it_fits(width: int, complete: bool) -> None:
    """Within the width, with everything escaped."""
    text = summary(_result(complete=complete), width=width)
    assert max(map(columns, text.splitlines())) <= width
    assert "\x1b" not in text


def test_a_failure_needs_no_coverage() -> None:
    """What was found says more."""
    assert "escaped" not in summary(_result(verdict=Verdict.INVALID, failures=1, first_failure=2))


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (0.0, "less than 0.1 %"), (0.0009, "less than 0.1 %"), (0.5, "at most 50.0 %"), (0.99996, "at most 99.9 %"),
        (1.0, "at most 99.9 %"),
    ],
)  # fmt: skip
def test_what_was_not_seen_in_full_is_never_called_all(seen: float, said: str) -> None:
    """A hundred per cent is for a complete run only."""
    assert part(seen) == said


@pytest.mark.parametrize(
    ("chance", "said"),
    [(0.0, "0"), (1.0, "1"), (0.996, "1"), (0.441, "0.45"), (0.99, "0.99"), (1.01e-9, "1.1e-09"), (1e-320, "1e-320")],
)
def test_a_chance_is_rounded_up(chance: float, said: str) -> None:
    """So that a bound stays one."""
    assert at_most(chance) == said


ROWS = [
    GateRow("issue-token", "", VALID, VALID, 4, complete=True),
    GateRow("issue-token", "lost", Verdict.INVALID, Verdict.INVALID, 4),
    GateRow("keyed-three", "", VALID, VALID, 3_210, seen=0.1234, residual=0.0201, since_new=451),
    GateRow("bearer-unaffected-over-http-and-more-than-fits-wal", "", VALID, VALID, 7, residual=1.0),
    GateRow("keyed-tasks", "", VALID, Verdict.UNKNOWN, 7),
]


def test_the_gate_says_what_it_did_not_cover() -> None:
    """The references that passed without being complete, each with what is known of the rest."""
    assert not_covered(ROWS) == (
        "Not covered in full: 2 of 4 explorations of the reference. For each: the part of\n"
        "the tree seen; the probability that a bug of depth 2 escaped, at most (PCT's\n"
        "bound, without faults); of all executions, how many since anything was new.\n"
        "  keyed-three                           at most 12.3 %    0.021     451 of 3,210\n"
        "  bearer-unaffected-over-http-and-m...               -        1       0 of 7\n"
    )
    assert max(map(columns, not_covered(ROWS, width=60).splitlines())) <= 60
    assert not_covered(ROWS[:2]) == ""
