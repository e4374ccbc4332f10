"""The formats that counterexamples are rendered in, each by the name of its option."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.project import config
from harness.reports.documents.html import page
from harness.reports.documents.junit import junit
from harness.reports.documents.markdown import gate_markdown
from harness.reports.documents.perfetto import trace
from harness.reports.documents.sarif import sarif
from harness.reports.gated import Gated
from harness.reports.report import Report
from harness.reports.text.gate_table import GateRow
from harness.saved.counterexample import Counterexample
from harness.verdict import Verdict

__all__ = ["RENDERERS", "Entry", "Renderer"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A counterexample to render: its file, its value, and its report."""

    path: Path
    counterexample: Counterexample
    report: Report


@dataclass(frozen=True, slots=True)
class Renderer:
    """A format: ``render`` makes one document of all entries; ``suffix`` is the suffix of files in a folder."""

    suffix: str
    render: Callable[[Sequence[Entry]], str]


def _gated(entries: Sequence[Entry]) -> Gated:
    """Return *entries* as a gate in which each of them failed unexpectedly."""
    rows = [
        GateRow(
            found.scenario, found.variant, Verdict.VALID, Verdict.INVALID, 1, first_failure=1,
            preemptions=found.preemptions, faults=found.faults,
            oracle=f"{found.failure.kind} {found.failure.rule}".strip(), command=entry.report.command,
        )
        for entry in entries
        for found in [entry.counterexample]
    ]  # fmt: skip
    found = {number: entry.counterexample for number, entry in enumerate(entries)}
    return Gated(rows, Verdict.INVALID, 0.0, found, root=str(Path.cwd()))


RENDERERS = {
    "html": Renderer(".html", lambda entries: page([entry.report for entry in entries])),
    "markdown": Renderer(".md", lambda entries: gate_markdown(_gated(entries))),
    "junit": Renderer(".xml", lambda entries: junit(_gated(entries))),
    "sarif": Renderer(".sarif", lambda entries: json.dumps(sarif(_gated(entries), config.version()), indent=1) + "\n"),
    "perfetto": Renderer(".perfetto.json", lambda entries: trace([entry.report for entry in entries])),
}
"""The formats, by the name of their option."""
