"""``harness gate``: every scenario must be valid on the reference, and every faulty variant must be caught.

Known counterexamples are replayed first.
"""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Sequence

from harness.cli.gate.publishing import publish
from harness.cli.gate.row_runs import Todo, carry_out
from harness.cli.gate.selection import Chosen, chosen_scenarios, over_database, settings_of
from harness.cli.streams import workflow_commands_stopped
from harness.cli.terminal import EXIT_CODES, colour, print_json, width
from harness.errors import BadInput
from harness.project.settings import Settings
from harness.project.suggestions import nearest
from harness.reports.gated import Gated, as_data
from harness.reports.text.coverage_lines import not_covered
from harness.reports.text.gate_table import GateRow, gate_table
from harness.saved.counterexample import load as load_counterexample
from harness.verdict import Verdict, merge

__all__ = ["command"]

_MEANINGS = {
    Verdict.VALID: "passed",
    Verdict.INVALID: "FAILED",
    Verdict.UNKNOWN: "unknown, which is not a pass",
}


def command(options: Namespace) -> int:
    """Run the gate; return 0 if every row is as expected, 1 if one is wrong, 3 if one is unknown and none is wrong."""
    settings = settings_of(options)
    chosen = chosen_scenarios(settings, options.scenarios, elsewhere=options.config is not None)
    left_out: dict[str, str] = {}
    if options.over is not None or not options.scenarios:
        chosen, left_out = over_database(options.over or settings.over, chosen)
    if options.changed_since is not None:
        from harness.cli.gate.changed_files import unchanged

        left_out |= unchanged(chosen, options.changed_since, settings.root)
        chosen = [each for each in chosen if each[1].name not in left_out]
    todo = [*_known(settings, chosen, left_out), *_explorations(chosen)]
    began = time.monotonic()
    with workflow_commands_stopped(sys.stderr if options.json else sys.stdout):
        gated = _gated(todo, settings, options, left_out=left_out, began=began)
        _show(options, gated)
    publish(gated, options, settings, references={scenario.name: reference for reference, scenario in chosen})
    return EXIT_CODES[gated.verdict]


def _gated(
    todo: Sequence[Todo], settings: Settings, options: Namespace, *, left_out: dict[str, str], began: float
) -> Gated:
    rows, files = carry_out(todo, settings, options.cluster)
    return Gated(
        rows,
        merge(map(_judged, rows)),
        time.monotonic() - began,
        {number: load_counterexample(file) for number, file in files.items() if file.is_file()},
        {number: str(file) for number, file in files.items()},
        left_out,
        str(settings.root),
    )


def _show(options: Namespace, gated: Gated) -> None:
    if options.json:
        print_json(as_data(gated))
        return
    print(gate_table(gated.rows, width=width(), colour=colour()), end="")
    print(not_covered(gated.rows, width=width()), end="")
    for name, why in gated.left_out.items():
        print(f"left out: {name}: {why}")
    print(f"gate: {_MEANINGS[gated.verdict]} ({gated.seconds:.1f} s)")


def _judged(row: GateRow) -> Verdict:
    """Return the verdict of *row* for the gate: valid if it is as expected."""
    if row.as_expected:
        return Verdict.VALID
    return Verdict.UNKNOWN if row.verdict is Verdict.UNKNOWN else Verdict.INVALID


# --- the rows to run ------------------------------------------------------------------------------


def _explorations(chosen: Chosen) -> list[Todo]:
    return [
        Todo(GateRow(scenario.name, variant, Verdict.INVALID if variant else Verdict.VALID, Verdict.UNKNOWN), reference)
        for reference, scenario in chosen
        for variant in ("", *scenario.variants)
    ]


def _known(settings: Settings, chosen: Chosen, left_out: dict[str, str]) -> list[Todo]:
    """Return the replays of the known counterexamples.

    Raises ``BadInput`` if the folder is not there, or if a file can't be used or is of a scenario that is not gated.
    """
    folder = settings.counterexamples
    if folder is None:
        return []
    if not folder.is_dir():
        raise BadInput(
            f"The folder of known counterexamples, {str(folder)!r}, is not there. Make it, or take "
            "'counterexamples' out of [tool.harness]."
        )
    references = {scenario.name: reference for reference, scenario in chosen}
    todo = []
    for file in sorted(folder.glob("*.json")):
        found = load_counterexample(file)
        if found.scenario in left_out:
            continue
        if found.scenario not in references:
            raise BadInput(
                f"The known counterexample {str(file)!r} is of the scenario {found.scenario!r}, which is not gated. "
                f"{nearest(found.scenario, references)}"
            )
        expected = Verdict.INVALID if found.variant else Verdict.VALID
        row = GateRow(found.scenario, found.variant, expected, Verdict.UNKNOWN, known=file.name)
        todo.append(Todo(row, references[found.scenario], file))
    return todo
