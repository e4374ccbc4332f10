"""``harness report``: renders saved counterexamples as documents, in each format asked for."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.checks.linearizability import Linearizability
from harness.cli.replay.command import scenario_of
from harness.cli.running import replay_command
from harness.cli.terminal import Ticker, print_json
from harness.control.repeating.recording import Recorded, record_tables
from harness.errors import BadInput, HarnessError
from harness.project import config
from harness.reports.documents.html import page
from harness.reports.documents.junit import junit
from harness.reports.documents.markdown import gate_markdown
from harness.reports.documents.perfetto import trace
from harness.reports.documents.sarif import sarif
from harness.reports.gated import Gated
from harness.reports.report import Report, as_data, report_of
from harness.reports.text.gate_table import GateRow
from harness.reports.text.terminal import counted
from harness.saved.counterexample import Counterexample, load
from harness.scenario import Scenario
from harness.verdict import Verdict

__all__ = ["RENDERERS", "Entry", "Renderer", "command", "write_page"]

_STDOUT = "-"


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


def command(options: Namespace) -> int:
    """Render; return 0. Raises ``BadInput`` if a file is not a counterexample or a document can't be written."""
    wanted = {name: out for name in RENDERERS if (out := getattr(options, name)) is not None}
    if not wanted and not options.json:
        known = " or ".join(f"--{name} OUT" for name in RENDERERS)
        raise BadInput(f"No output is named for {options.files[0]!r}: give {known}.")
    if (list(wanted.values()).count(_STDOUT) + options.json) > 1:
        raise BadInput("Only one document can go to standard output: give the others a file.")
    counterexamples = [(Path(file), load(Path(file))) for file in options.files]
    with Ticker() as ticker:
        entries = []
        for path, counterexample in counterexamples:
            ticker.show(f"{path}: replaying for the tables")
            entries.append(_entry(options, path, counterexample))
    for name, out in wanted.items():
        for target in _write(RENDERERS[name], entries, out):
            told = sys.stderr if options.json else sys.stdout
            print(f"{target}: {counted(len(entries) if target == out else 1, 'counterexample')}", file=told)
    if options.json:
        print_json([{"counterexample": str(entry.path), **as_data(entry.report)} for entry in entries])
    return 0


def write_page(counterexample: Counterexample, scenario: Scenario, again: str, out: str) -> None:
    """Write the page of *counterexample*, just found in *scenario*, to *out*; *again* is its replay command."""
    report = _report(counterexample, scenario, again, record_tables(scenario, counterexample))
    _write(RENDERERS["html"], [Entry(Path(counterexample.scenario), counterexample, report)], out)


def _entry(options: Namespace, path: Path, counterexample: Counterexample) -> Entry:
    again = replay_command(path, options.scenario or "")
    scenario = None
    if options.no_tables:
        recorded = Recorded(why_not="They were not asked for (--no-tables).")
    else:
        try:
            scenario = scenario_of(options, path, counterexample)
            recorded = record_tables(scenario, counterexample)
        except HarnessError as error:
            if options.scenario is not None:
                raise
            recorded = Recorded(why_not=str(error).partition("\n")[0])
    return Entry(path, counterexample, _report(counterexample, scenario, again, recorded))


def _report(counterexample: Counterexample, scenario: Scenario | None, again: str, recorded: Recorded) -> Report:
    return report_of(
        counterexample,
        command=again,
        tables=recorded.tables,
        no_tables=recorded.why_not,
        linearizability=_linearizability(scenario, counterexample) if scenario is not None else None,
    )


def _linearizability(scenario: Scenario, counterexample: Counterexample) -> Linearizability | None:
    """Return the linearizability answer of the check that broke, or None if it has none."""
    failure = counterexample.failure
    if failure.kind != "postcondition":
        return None
    check = next((check for check in scenario.postconditions if check.name == failure.rule), None)
    if check is None or check.answer is None:
        return None
    try:
        return check.answer(counterexample.history)
    except Exception:
        # The history is from a file, so it may hold values that the scenario never produces.
        return None


def _write(renderer: Renderer, entries: Sequence[Entry], out: str) -> list[str]:
    """Write *entries* to *out*: one document for all, or one for each if it is a folder; return the paths."""
    if out == _STDOUT:
        sys.stdout.write(renderer.render(entries))
        return []
    if out.endswith("/") or Path(out).is_dir():
        targets = {Path(out, f"{entry.path.name.removesuffix('.json')}{renderer.suffix}"): [entry] for entry in entries}
        if len(targets) < len(entries):
            raise BadInput(
                f"Two of the files have the same name, so {out!r} can't have both: give a file, not a folder."
            )
    else:
        targets = {Path(out): list(entries)}
    for target, which in targets.items():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(renderer.render(which), encoding="utf-8")
        except (OSError, ValueError) as error:
            raise BadInput(
                f"The report can't be written to {str(target)!r}: {getattr(error, 'strerror', None) or error}. "
                "Is that a place you may write to?"
            ) from None
    return [out if str(target) == out else str(target) for target in targets]
