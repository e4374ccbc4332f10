"""``harness report``: renders saved counterexamples as documents, in each format asked for."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from harness.checks.linearizability import Linearizability
from harness.cli.formats import RENDERERS, Entry, Renderer
from harness.cli.recorded import replay_command, scenario_of
from harness.cli.terminal import Ticker, print_json
from harness.control.repeating.recording import Recorded, record_tables
from harness.errors import BadInput, HarnessError
from harness.reports.report import Report, as_data, report_of
from harness.reports.text.terminal import counted
from harness.saved.counterexample import Counterexample, load
from harness.scenario import Scenario

__all__ = ["command", "write_page"]

_STDOUT = "-"


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


def write_page(counterexample: Counterexample, scenario: Scenario, again: str, *, out: str) -> None:
    """Write the page of *counterexample*, just found in *scenario*, to *out*; *again* is its replay command."""
    report = _report(counterexample, scenario, again, recorded=record_tables(scenario, counterexample))
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
    return Entry(path, counterexample, _report(counterexample, scenario, again, recorded=recorded))


def _report(counterexample: Counterexample, scenario: Scenario | None, again: str, *, recorded: Recorded) -> Report:
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
