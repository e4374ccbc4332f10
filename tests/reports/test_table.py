"""The gate's table: what it shows, that it fits, and that what is wrong stands out."""

from __future__ import annotations

import pytest

from harness.reports.text.gate_table import GateRow, gate_table
from harness.reports.text.terminal import columns
from harness.verdict import Verdict

VALID, INVALID, UNKNOWN = Verdict.VALID, Verdict.INVALID, Verdict.UNKNOWN
ROWS = [
    GateRow("create-agents-distinct", "", VALID, VALID, 18, complete=True, seconds=0.31),
    GateRow(
        "create-agents-distinct",
        "r20-exception-leaves-reservation",
        INVALID,
        INVALID,
        7,
        first_failure=7,
        preemptions=1,
        faults=0,
        oracle="postcondition SAME every client is told of the one agent, whichever worker it asks and when",
        seconds=1.26,
    ),
    GateRow("issue-token", "t11-read-after-commit", INVALID, VALID, 8, complete=True, note="not caught"),
    GateRow("issue-token", "t01", INVALID, UNKNOWN, note="The run took too long.\nMore \x1b[31m words."),
]


def test_the_table_in_80_columns() -> None:
    """The oracle stands under its row; what is not as expected is marked and explained."""
    assert gate_table(ROWS) == (
        "  variant                          expected verdict   runs first pre/flt     s\n"
        "create-agents-distinct\n"
        "  (reference)                      valid    valid      18+                 0.3\n"
        "  r20-exception-leaves-reservation invalid  invalid      7     7     1/0   1.3\n"
        "    postcondition SAME every client is told of the one agent, whichever worke...\n"
        "issue-token\n"
        "! t11-read-after-commit            invalid  valid       8+                 0.0\n"
        "    not caught\n"
        "! t01                              invalid  unknown      0                 0.0\n"
        "    The run took too long. More \\x1b[31m words.\n"
        "runs: executions, + if complete; pre/flt: of the minimal counterexample\n"
        "2 of 4 as expected, 2 not\n"
    )


def test_a_wide_table_has_the_oracle_beside() -> None:
    """With room for it, the oracle stands in its row."""
    line = next(line for line in gate_table(ROWS, width=140).splitlines() if "r20" in line)
    assert line.endswith("1.3  postcondition SAME every client is told of the one agent,...")


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_the_table_fits(width: int) -> None:
    """No line is wider than asked."""
    assert [line for line in gate_table(ROWS, width=width).splitlines() if columns(line) > width] == []
