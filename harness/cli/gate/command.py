"""``harness gate``: every scenario must be valid on the reference, and every faulty variant must be caught.

Known counterexamples are replayed first.
"""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from harness import registry
from harness.cli.gate.publishing import publish
from harness.cli.gate.row_runs import Todo, carry_out
from harness.cli.streams import workflow_commands_stopped
from harness.cli.terminal import EXIT_CODES, colour, print_json, width
from harness.errors import BadInput
from harness.project import config
from harness.project.settings import Settings
from harness.project.settings import load as load_settings
from harness.project.suggestions import nearest
from harness.reports.gated import Gated, as_data
from harness.reports.text.coverage_lines import not_covered
from harness.reports.text.gate_table import GateRow, gate_table
from harness.saved.counterexample import load as load_counterexample
from harness.scenario import Scenario
from harness.verdict import Verdict, merge

__all__ = ["command"]

Chosen = Sequence[tuple[str, Scenario]]
"""Scenarios, each with its reference on the command line."""

_MEANINGS = {
    Verdict.VALID: "passed",
    Verdict.INVALID: "FAILED",
    Verdict.UNKNOWN: "unknown, which is not a pass",
}


def command(options: Namespace) -> int:
    """Run the gate; return 0 if every row is as expected, 1 if one is wrong, 3 if one is unknown and none is wrong."""
    settings = _settings(options)
    if settings.postgres and not config.postgres():
        config.use_postgres(settings.postgres)
    chosen = _chosen(settings, options.scenarios, options.config is not None)
    left_out: dict[str, str] = {}
    if options.over is not None or not options.scenarios:
        chosen, left_out = _over(options.over or settings.over, chosen)
    if options.changed_since is not None:
        from harness.cli.gate.changed_files import unchanged

        left_out |= unchanged(chosen, options.changed_since, settings.root)
        chosen = [each for each in chosen if each[1].name not in left_out]
    todo = [*_known(settings, chosen, left_out), *_explorations(chosen)]
    began = time.monotonic()
    with workflow_commands_stopped(sys.stderr if options.json else sys.stdout):
        gated = _gated(todo, settings, options, left_out, began)
        _show(options, gated)
    publish(gated, options, settings, {scenario.name: reference for reference, scenario in chosen})
    return EXIT_CODES[gated.verdict]


def _gated(
    todo: Sequence[Todo], settings: Settings, options: Namespace, left_out: dict[str, str], began: float
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


def _settings(options: Namespace) -> Settings:
    """Return the settings of the project, overridden by those on the command line."""
    settings = load_settings(Path(options.config) if options.config is not None else None)
    given = {
        "jobs": options.jobs,
        "seconds": options.time,
        "seed": options.seed,
        "isolation": options.isolation,
        "patience": options.patience,
        "output": Path(options.output) if options.output is not None else None,
        "report": Path(options.report) if options.report is not None else None,
        "counterexamples": Path(options.counterexamples) if options.counterexamples is not None else None,
    }
    return replace(settings, **{name: value for name, value in given.items() if value is not None})


def _chosen(settings: Settings, names: Sequence[str], elsewhere: bool) -> Chosen:
    """Return the scenarios that *names* say, else those that the settings name, else all that are installed.

    A name is a pattern of known scenarios, or a reference. With settings from *elsewhere* than the current folder, scenarios
    are referred to by their module, as their names are not known here. Raises ``BadInput`` if a name matches no scenario, or
    if there is none.
    """
    known = registry.named(settings)
    if not known and not names:
        raise BadInput(
            "There is nothing to gate: no scenario is named in [tool.harness] of "
            f"{settings.file or 'a pyproject.toml (there is none here)'}, and none is installed.\n"
            "`harness init` writes a first scenario and these lines:\n"
            "  [tool.harness]\n"
            '  scenarios = ["races.py:ALL"]'
        )

    def chosen(name: str, root: Path | None) -> list[registry.Named]:
        if ":" in name:
            return registry.referred(name, root)
        fits = [each for each in known if fnmatchcase(each, name)]
        if not fits:
            raise BadInput(f"The gate's scenario {name!r} fits none that is known. {nearest(name, known)}")
        return [known[each] for each in fits]

    root = None if names else settings.root
    wanted = names or settings.scenarios or ("*",)
    found = {each.scenario.name: each for name in wanted for each in chosen(name, root)}
    by_name = {} if elsewhere else {name: each.scenario for name, each in known.items()}
    return [
        (name if by_name.get(name) is each.scenario else each.reference, each.scenario) for name, each in found.items()
    ]


def _over(database: str, chosen: Chosen) -> tuple[Chosen, dict[str, str]]:
    """Return the scenarios of *chosen* that use *database* (``all``: all), and the reasons why others are left out.

    Raises ``BadInput`` if no scenario uses *database*.
    """
    fit = [each for each in chosen if database in ("all", each[1].database)]
    if not fit:
        raise BadInput(
            f"No scenario here races over {database}. Is what it needs installed? For PostgreSQL: the extra 'postgres'."
        )
    others = sorted({scenario.database for _, scenario in chosen} - {scenario.database for _, scenario in fit})
    counts = {name: sum(scenario.database == name for _, scenario in chosen) for name in others}
    return fit, {f"{count} scenarios over {name}": f"--over {name} runs them" for name, count in counts.items()}


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
