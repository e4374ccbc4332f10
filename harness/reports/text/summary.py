"""The result of a run, in a paragraph."""

from __future__ import annotations

from harness.reports.text.coverage_lines import coverage_lines
from harness.reports.text.terminal import counted, escaped, paragraph, wrapped
from harness.result import Result
from harness.verdict import Verdict

__all__ = ["summary"]


def summary(result: Result, *, width: int = 80) -> str:
    """Return *result* as text: the verdict, with reasons if it is unknown; executions and time; the coverage."""
    name = f"{result.scenario}{f' ({result.variant})' if result.variant else ''}"
    lines = wrapped(escaped(f"{name}: {result.verdict}. {_meaning(result)}"), width)
    lines += [*wrapped(_effort(result), width), *wrapped(_scope(result), width)]
    if result.verdict is not Verdict.INVALID:
        lines += coverage_lines(result, width)
    for reason in result.reasons:
        lines += ["", *paragraph(reason, width, "  ")]
    if result.anew:
        lines += wrapped(escaped(result.anew), width, most=8)
    if result.allowed and not result.complete:
        lines += wrapped(
            escaped(f"Allowed, so that nothing is claimed of it: {', '.join(result.allowed)}."), width, most=8
        )
    if result.notes:
        lines += wrapped(escaped(f"Not explored: {'; '.join(result.notes)}."), width, most=4)
    if result.happened and result.verdict is not Verdict.INVALID:
        happened = ", ".join(f"{rule} ({times:,})" for rule, times in result.happened.items())
        lines += wrapped(
            escaped(f"Required events, with the number of executions in which each occurred: {happened}."), width
        )
    return "\n".join(lines) + "\n"


def _meaning(result: Result) -> str:
    if result.verdict is Verdict.VALID:
        return "Every rule held in every execution."
    if result.verdict is Verdict.INVALID:
        failing = counted(result.failures, "execution")
        return f"A rule broke in {failing}, first in number {result.first_failure}."
    return "Unknown, which is not a pass:" if result.reasons else "Nothing can be said."


def _effort(result: Result) -> str:
    foreseen = (
        f" Skipped, as their outcome follows from states visited before: {result.foreseen:,} more."
        if result.foreseen
        else ""
    )
    return (
        f"{counted(result.executions, 'execution')} of {counted(result.workers, 'worker')} "
        f"({result.scheduler}, seed {result.seed}) in {result.seconds:.2f} s, "
        f"start-up {result.startup_seconds:.2f} s.{foreseen}"
    )


def _scope(result: Result) -> str:
    if result.within and result.verdict is Verdict.VALID:
        return f"Not complete: everything within its bound was covered ({escaped(result.within)}), nothing beyond it."
    if result.complete:
        where = ", each execution in fresh processes" if result.anew else ""
        with_delays = f" with {escaped(result.delays)}" if result.delays else ""
        covered = f"every interleaving{with_delays} was covered{where}"
        if result.allowed:
            others = escaped(", ".join(result.allowed))
            return f"Complete, but for what it allows: {covered}, and nothing is claimed of {others}."
        return f"Complete: {covered}."
    if result.verdict is Verdict.INVALID:
        return f"Shrinking took {counted(result.shrink_executions, 'more execution')}."
    return f"Not complete: it stopped at the limit of {escaped(result.bound)}." if result.bound else "Not complete."
