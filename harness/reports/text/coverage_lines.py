"""Coverage as text: a few lines on the coverage of a run and its gaps, and a table for a whole gate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from harness.coverage.totals import Coverage
from harness.reports.text.gate_table import GateRow
from harness.reports.text.terminal import counted, escaped, one_line, padded, shortened, wrapped
from harness.result import Result

__all__ = ["at_most", "coverage_lines", "not_covered", "part"]

_FIRST = 2
"""How many entries of a list are named; the rest are counted."""
_DEPTH = 2
_SURE = 0.995


def coverage_lines(result: Result, width: int) -> list[str]:
    """Return lines on the coverage of *result*; none if no coverage was counted."""
    coverage = result.coverage
    if coverage == Coverage():
        return []
    sentences = [_seen(coverage, result), *_left(coverage, result), *_missing(coverage, result)]
    return [line for sentence in sentences for line in wrapped(escaped(sentence), width, most=4)]


def _seen(coverage: Coverage, result: Result) -> str:
    outcomes = "" if coverage.outcomes is None else f", {counted(coverage.outcomes, 'outcome')}"
    states = f", {counted(coverage.states, 'state')} of the shared files" if coverage.states else ""
    since = "" if result.complete else f" Executions since anything was new: {coverage.since_new:,}."
    return (
        f"Covered: {counted(coverage.interleavings, 'interleaving')} (up to the order of independent steps), "
        f"{counted(coverage.answers, 'set of answers', 'sets of answers')}{outcomes}{states}.{since}"
    )


def _left(coverage: Coverage, result: Result) -> Iterator[str]:
    """Yield sentences on how much is left, if the run is not complete."""
    if result.complete:
        return
    if coverage.bounded:
        yield f"Reached the step limit, after which a fair schedule took over: {counted(coverage.bounded, 'execution')}."
    if coverage.seen is not None and not result.within:
        yield f"Of the tree of interleavings, {part(coverage.seen)} was seen."
    if coverage.pct:
        chances = ", ".join(f"{at_most(chance)} (depth {depth})" for depth, chance in sorted(coverage.residual.items()))
        yield (
            f"Probability that a bug escaped, at most: {chances}. That is PCT's bound for {coverage.tasks} tasks and "
            f"{coverage.steps:,} steps, without faults."
        )
    else:
        yield "No bound on the probability that a bug escaped: PCT ran no execution."


def _missing(coverage: Coverage, result: Result) -> Iterator[str]:
    """Yield sentences on orders, faults, calls and code that no execution showed."""
    if coverage.one_order and not result.complete:
        pairs = [f"{earlier} before {later}" for earlier, later in coverage.only]
        yield (
            f"Conflicting pairs: {coverage.both_orders:,} in both orders, {coverage.one_order:,} in one only: "
            f"{_named(pairs, coverage.one_order, 1)}."
        )
    if coverage.faults_tried < coverage.fault_places and not result.complete:
        yield f"Faults were injected at {coverage.faults_tried:,} of {coverage.fault_places:,} possible places."
    if coverage.uncalled:
        yield f"Never called: {_named(coverage.uncalled, len(coverage.uncalled))}."
    if coverage.unreached:
        yield f"Never reached in functions that ran: {_named(coverage.unreached, len(coverage.unreached))}."


def _named(names: Sequence[str], number: int, first: int = _FIRST) -> str:
    more = f"; and {number - first:,} more" if number > first else ""
    return "; ".join(names[:first]) + more


def part(seen: float) -> str:
    """Return *seen*, the part of a tree that was seen, as a percentage below 100, rounded down."""
    return "less than 0.1 %" if seen < 0.001 else f"at most {min(math.floor(seen * 1000), 999) / 10:.1f} %"


def at_most(chance: float) -> str:
    """Return *chance* with two digits, rounded up."""
    if chance > _SURE:
        return "1"
    if chance <= 0.0:
        return "0"
    digits = 1 - math.floor(math.log10(chance))
    return f"{math.ceil(chance * 10**digits) / 10**digits:.2g}" if digits < 300 else f"{chance:.2g}"


def not_covered(rows: Sequence[GateRow], *, width: int = 80) -> str:
    """Return a table of the references among *rows* that passed but are not complete, with how much was seen."""
    left = [row for row in rows if not row.variant and row.as_expected and not row.complete]
    if not left:
        return ""
    name = max(min(max(len(row.scenario) for row in left), width - 44), 8)
    references = sum(not row.variant for row in rows)
    lines = wrapped(
        f"Not covered in full: {len(left)} of {references} explorations of the reference. For each: the part of the tree seen; "
        f"the probability that a bug of depth {_DEPTH} escaped, at most (PCT's bound, without faults); of all executions, "
        "how many since anything was new.",
        width,
    )
    for row in left:
        seen = "-" if row.seen is None else part(row.seen)
        escaping = "-" if row.residual is None else at_most(row.residual)
        cells = (
            f"  {padded(shortened(one_line(row.scenario), name), name)} {seen:>15} {escaping:>8} {row.since_new:>7,}"
        )
        lines.append(shortened(f"{cells} of {row.executions:,}", width))
    return "\n".join(lines) + "\n"
