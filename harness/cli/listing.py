"""``harness list``: the scenarios, their stories and their faulty variants."""

from __future__ import annotations

from argparse import Namespace

from harness.cli.terminal import colour, print_json, width
from harness.registry import named
from harness.reports.text.terminal import counted, escaped, paragraph, styled
from harness.scenario import Scenario

__all__ = ["command"]


def command(options: Namespace) -> int:
    """Print the scenarios that are known by name: the project's and the installed ones; return 0."""
    known = named()
    if options.json:
        print_json([_as_json(each.scenario, installed=each.installed) for each in known.values()])
    elif not known:
        print(
            "No scenario is known here: [tool.harness] in pyproject.toml names none, and none is installed. "
            "`harness init` writes a first one."
        )
    else:
        print("\n".join(_text(each.scenario) for each in known.values()), end="")
    return 0


def _as_json(scenario: Scenario, *, installed: bool) -> dict[str, object]:
    return {
        "scenario": scenario.name,
        "variants": list(scenario.variants),
        "workers": scenario.workers,
        "installed": installed,
    }


def _text(scenario: Scenario) -> str:
    heading = f"{escaped(scenario.name)} ({counted(scenario.workers, 'worker')})"
    # Only the first paragraph of a story: the rest is for readers of the scenario's file.
    story = " ".join(scenario.story.strip().split("\n\n")[0].split())
    lines = [styled("title", heading, colour=colour()), *(paragraph(story, width(), "  ") if story else [])]
    lines += [f"  --variant {escaped(name)}" for name in scenario.variants]
    return "\n".join(lines) + "\n"
