"""The result of a run, in a paragraph."""

from __future__ import annotations

from harness.result import Result
from harness.verdict import Verdict
from reports.coverage import coverage_lines
from reports.terminal import escaped, paragraph, wrapped

__all__ = ["counted", "summary"]


def counted(number: int, noun: str) -> str:
    """Return *number* with *noun* in the right form: ``1 step``, ``2,000 steps``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


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
        lines += wrapped(escaped(f"Left alone, and so not explored: {'; '.join(result.notes)}."), width, most=4)
    if result.happened and result.verdict is not Verdict.INVALID:
        happened = ", ".join(f"{rule} ({times:,})" for rule, times in result.happened.items())
        lines += wrapped(escaped(f"It happened, in so many executions: {happened}."), width)
    return "\n".join(lines) + "\n"


def _meaning(result: Result) -> str:
    if result.verdict is Verdict.VALID:
        return "Every rule held in every execution."
    if result.verdict is Verdict.INVALID:
        failing = counted(result.failures, "execution")
        return f"A rule broke in {failing}, first in number {result.first_failure}."
    return "Nothing can be said, which is not a pass:" if result.reasons else "Nothing can be said."


def _effort(result: Result) -> str:
    foreseen = f" Not run, as all of it had been seen in others: {result.foreseen:,} more." if result.foreseen else ""
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
