"""The result of comparing two versions: as a value, and as text for a terminal or a pull request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.reports.documents.markdown import md
from harness.reports.text.terminal import escaped, styled, wrapped

__all__ = ["ORDER", "Compared", "as_data", "comparison_lines", "comparison_markdown", "worst"]

ORDER = ("not fixed", "worse", "masked", "can't tell", "fixed", "no race")
"""Verdicts, the worst first."""
_STYLES = {"fixed": "told", "no race": "dim", "can't tell": "waiting"}


@dataclass(frozen=True, slots=True)
class Compared:
    """The comparison of one scenario on both versions.

    ``reasons`` explain the ``verdict``; ``rule`` is the rule that broke on the base, with its message; ``done`` are
    sentences on the runs that were made; ``command`` replays the race, whose file is ``counterexample``.
    """

    scenario: str
    verdict: str
    reasons: tuple[str, ...]
    rule: str = ""
    done: tuple[str, ...] = ()
    command: str = ""
    counterexample: str = ""
    details: dict[str, object] = field(default_factory=dict)


def worst(compared: Sequence[Compared]) -> str:
    """Return the worst verdict of all; "can't tell" if there is none."""
    return min((each.verdict for each in compared), key=ORDER.index, default="can't tell")


def comparison_lines(base: str, head: str, compared: Sequence[Compared], *, width: int, colour: bool) -> list[str]:
    """Return the comparison as lines of at most *width* columns; commands are not wrapped."""
    lines = wrapped(escaped(f"{base} against {head}: {worst(compared)}."), width)
    for each in compared:
        style = _STYLES.get(each.verdict, "broken")
        lines += [
            "",
            *(
                styled(style, line, colour=colour)
                for line in wrapped(escaped(f"{each.scenario}: {each.verdict}"), width)
            ),
        ]
        if each.rule:
            lines += wrapped(escaped(f"  Broken on {base}: {each.rule}"), width, hang=2)
        for text in (*each.reasons, *each.done):
            lines += [f"  {line}" for line in wrapped(escaped(text), width - 2, hang=2)]
        if each.command:
            lines += ["  To see the race:", f"    {escaped(each.command)}"]
    return lines


def comparison_markdown(base: str, head: str, compared: Sequence[Compared]) -> str:
    """Return the comparison as Markdown, for a comment on a pull request."""
    lines = [
        f"## Races, {md(base)} against {md(head)}: {worst(compared)}",
        "",
        "| scenario | verdict | why |",
        "|---|---|---|",
    ]
    lines += [f"| {md(each.scenario)} | {each.verdict} | {md(' '.join(each.reasons))} |" for each in compared]
    for each in compared:
        if each.rule:
            lines += ["", f"### {md(each.scenario)}: {each.verdict}", "", f"Broken on {md(base)}: {md(each.rule)}", ""]
            lines += [f"- {md(text)}" for text in each.done]
            if each.command:
                lines += ["", "To see the race:", "", f"    {escaped(each.command)}"]
    return "\n".join(lines) + "\n"


def as_data(base: str, head: str, compared: Sequence[Compared]) -> dict[str, object]:
    """Return the comparison as plain data."""
    return {
        "base": base,
        "head": head,
        "verdict": worst(compared),
        "scenarios": [
            {
                "scenario": each.scenario,
                "verdict": each.verdict,
                "reasons": list(each.reasons),
                "rule": each.rule or None,
                "done": list(each.done),
                "counterexample": each.counterexample or None,
                "command": each.command or None,
                **each.details,
            }
            for each in compared
        ],
    }
