"""The result of an uncontrolled run as text, with the controlled search of the same variant."""

from __future__ import annotations

from harness.reports.text.terminal import counted, escaped, paragraph, wrapped
from harness.result import Result
from harness.stress.result import Stressed, Violation
from harness.verdict import Verdict

__all__ = ["stress_report"]

_MEANINGS = {
    Verdict.VALID: "No rule was seen broken, which proves nothing: the schedules were nobody's choice.",
    Verdict.INVALID: "A rule broke.",
    Verdict.UNKNOWN: "Unknown, which is not a pass:",
}


def stress_report(stressed: Stressed, searched: Result | None = None, *, width: int = 80) -> str:
    """Return *stressed* as text; *searched* is the result of the controlled search of the same variant."""
    name = f"{stressed.scenario}{f' ({stressed.variant})' if stressed.variant else ''}"
    lines = wrapped(escaped(f"{name}, uncontrolled: {stressed.verdict}. {_MEANINGS[stressed.verdict]}"), width)
    for reason in stressed.reasons:
        lines += paragraph(reason, width, "  ")
    lines += wrapped(_effort(stressed), width)
    ended = ", ".join(f"{how} ({times:,})" for how, times in stressed.outcomes.items())
    lines += wrapped(escaped(f"Calls ended with: {ended}."), width)
    if stressed.happened:
        happened = ", ".join(f"{rule} ({times:,})" for rule, times in stressed.happened.items())
        lines += wrapped(
            escaped(f"Required events, with the number of turns in which each occurred: {happened}."), width
        )
    for violation in stressed.violations:
        lines += ["", *wrapped(escaped(_how_often(violation, stressed.turns)), width)]
        lines += paragraph(violation.message, width, "  ")
    if stressed.said and not any(stressed.said in violation.message for violation in stressed.violations):
        lines += ["", *wrapped("The server wrote to standard error, which breaks no rule. The last lines:", width)]
        lines += paragraph(stressed.said, width, "  ")
    if searched is not None:
        lines += ["", *wrapped(escaped(_controlled(searched)), width)]
    return "\n".join(lines) + "\n"


def _effort(stressed: Stressed) -> str:
    rate = stressed.calls / stressed.seconds if stressed.seconds else 0.0
    return (
        f"{counted(stressed.turns, 'turn')} with {counted(stressed.calls, 'call')} in {stressed.seconds:.1f} s "
        f"({rate:,.0f} calls/s), {stressed.clients} turns at once, on {counted(stressed.workers, 'worker')}; "
        f"{counted(stressed.kills, 'worker')} killed, {counted(stressed.given_up, 'call')} given up by the client "
        f"and made again (seed {stressed.seed})."
    )


def _how_often(violation: Violation, turns: int) -> str:
    where = f"in {violation.turns:,} of {counted(turns, 'turn')}" if violation.turns else "by what was left"
    return f"{violation.rule}: broken {where}. The first:"


def _controlled(searched: Result) -> str:
    effort = f"{counted(searched.executions, 'execution')} in {searched.seconds:.1f} s"
    if searched.first_failure is None:
        return f"The controlled search ({searched.scheduler}) found nothing in {effort}."
    return f"The controlled search ({searched.scheduler}) fails first in execution {searched.first_failure} ({effort})."
