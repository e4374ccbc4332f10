"""Which scenarios a gate runs, by its settings and by its command line."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from harness import registry
from harness.errors import BadInput
from harness.project import config
from harness.project.settings import Settings, load
from harness.project.suggestions import nearest
from harness.scenario import Scenario

__all__ = ["Chosen", "chosen_scenarios", "over_database", "settings_of"]

Chosen = Sequence[tuple[str, Scenario]]
"""Scenarios, each with its reference on the command line."""


def settings_of(options: Namespace) -> Settings:
    """Return the settings of the project, overridden by those on the command line."""
    settings = load(Path(options.config) if options.config is not None else None)
    given = {
        "jobs": options.jobs,
        "seconds": options.time,
        "seed": options.seed,
        "isolation": options.isolation,
        "postgres": options.postgres or config.postgres() or None,
        "patience": options.patience,
        "output": Path(options.output) if options.output is not None else None,
        "report": Path(options.report) if options.report is not None else None,
        "counterexamples": Path(options.counterexamples) if options.counterexamples is not None else None,
    }
    return replace(settings, **{name: value for name, value in given.items() if value is not None})


def chosen_scenarios(settings: Settings, names: Sequence[str], *, elsewhere: bool) -> Chosen:
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


def over_database(database: str, chosen: Chosen) -> tuple[Chosen, dict[str, str]]:
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
