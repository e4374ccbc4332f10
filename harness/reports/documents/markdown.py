"""A gate as Markdown, for the summary of a CI job or a comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.reports.gated import Gated
from harness.reports.source_lines import marks, message_of, relative
from harness.reports.text.coverage_lines import at_most, part
from harness.reports.text.terminal import counted, escaped
from harness.reports.text.transcript import transcript
from harness.verdict import Verdict

__all__ = ["gate_markdown", "md"]

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&@])")
_MEANINGS = {Verdict.VALID: "passed", Verdict.INVALID: "failed", Verdict.UNKNOWN: "unknown, which is not a pass"}
_WIDTH = 100


def md(text: str) -> str:
    """Return *text* escaped, so that Markdown shows it literally."""
    return _SPECIAL.sub(r"\\\1", " ".join(escaped(text).split()))


def gate_markdown(gated: Gated) -> str:
    """Return *gated* as Markdown: the verdict, each wrong row with its race window and transcript, the coverage."""
    lines = [
        f"## Race gate: {_MEANINGS[gated.verdict]}",
        "",
        f"{len(gated.rows) - gated.wrong} of {len(gated.rows)} as expected, in {gated.seconds:.0f} s.",
    ]
    for number, row in enumerate(gated.rows):
        if not row.as_expected:
            lines += _wrong(gated, number)
    lines += _references(gated)
    lines += _allowed(gated)
    lines += _anew(gated)
    lines += _variants(gated)
    if gated.left_out:
        lines += ["", "### Left out", ""]
        lines += [f"- {md(name)}: {md(why)}" for name, why in gated.left_out.items()]
    return "\n".join(lines) + "\n"


def _wrong(gated: Gated, number: int) -> Iterator[str]:
    row, found = gated.rows[number], gated.found.get(number)
    yield from ("", f"### {md(row.scenario)}, {md(row.name)}: {row.verdict}, {row.expected} expected", "")
    if found is None:
        yield md(row.note)
        return
    yield md(message_of(found))
    yield ""
    for mark in marks(found):
        yield f"- {md(relative(mark.file, gated.root))}:{mark.line}: {md(mark.role)} ({md(mark.text)})"
    shown = transcript(found, command=row.command, why=found.explanation or "", width=_WIDTH)
    yield from ("", "To replay it:", "", *_fenced(row.command))
    yield from ("", "<details><summary>Transcript</summary>", "", *_fenced(shown.rstrip()), "", "</details>")


def _fenced(text: str) -> list[str]:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", text, fence]


def _references(gated: Gated) -> Iterator[str]:
    rows = [row for row in gated.rows if not row.variant and not row.known]
    if not rows:
        return
    yield from ("", "### Coverage", "")
    yield "| scenario | verdict | executions | covered | part of the tree seen | a bug of depth 2 escaped (at most) |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        covered = f"all{row.delays and f' with {row.delays}'}" if row.complete else "not all"
        if row.anew:
            covered += ", each execution in fresh processes"
        if row.allowed:
            covered += ", but for what it allows"
        held = row.verdict is Verdict.VALID
        seen = "all" if row.complete else part(row.seen) if held and row.seen is not None else "-"
        chance = "0" if row.complete else at_most(row.residual) if held and row.residual is not None else "-"
        yield f"| {md(row.scenario)} | {row.verdict} | {row.executions:,} | {covered} | {seen} | {chance} |"


def _allowed(gated: Gated) -> Iterator[str]:
    rows = [row for row in gated.rows if row.allowed]
    if rows:
        yield from ("", "### Allowed, so that nothing is claimed of it", "")
        for row in rows:
            yield f"- {md(row.scenario)}, {md(row.name)}: {', '.join(map(md, row.allowed))}"


def _anew(gated: Gated) -> Iterator[str]:
    rows = [row for row in gated.rows if row.anew]
    if rows:
        yield from ("", "### Begun anew, with fresh processes", "")
        yield from (f"- {md(row.scenario)}, {md(row.name)}: {md(row.anew)}" for row in rows)


def _variants(gated: Gated) -> Iterator[str]:
    variants = [row for row in gated.rows if row.variant and not row.known]
    known = [row for row in gated.rows if row.known]
    if variants:
        caught = sum(row.as_expected for row in variants)
        yield from ("", f"{counted(len(variants), 'faulty variant')}: {caught} caught.")
    if known:
        fine = sum(row.as_expected and not row.stale for row in known)
        stale = sum(row.stale for row in known)
        yield from ("", f"{counted(len(known), 'known counterexample')}: {fine} as expected, {stale} out of date.")
        yield from (f"- {md(row.known)}: {md(row.note)}" for row in known if row.stale)
