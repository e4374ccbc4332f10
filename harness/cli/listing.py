"""``harness list``: the scenarios, their stories and their faulty variants."""

from __future__ import annotations

from argparse import Namespace

from harness.cli.terminal import colour, print_json, width
from harness.registry import GROUP, scenarios
from harness.reports.text.terminal import counted, escaped, paragraph, styled
from harness.scenario import Scenario

__all__ = ["command"]


def command(options: Namespace) -> int:
    """Print the installed scenarios; return 0."""
    known = scenarios()
    if options.json:
        print_json([_as_json(scenario) for scenario in known.values()])
    elif not known:
        print(f"No scenario is installed: no distribution here has entry points in the group {GROUP!r}.")
    else:
        print("\n".join(_text(scenario) for scenario in known.values()), end="")
    return 0


def _as_json(scenario: Scenario) -> dict[str, object]:
    return {
        "scenario": scenario.name,
        "variants": list(scenario.variants),
        "workers": scenario.workers,
    }


def _text(scenario: Scenario) -> str:
    heading = f"{escaped(scenario.name)} ({counted(scenario.workers, 'worker')})"
    # Only the first paragraph of a story: the rest is for readers of the scenario's file.
    story = " ".join(scenario.story.strip().split("\n\n")[0].split())
    lines = [styled("title", heading, colour()), *(paragraph(story, width(), "  ") if story else [])]
    lines += [f"  --variant {escaped(name)}" for name in scenario.variants]
    return "\n".join(lines) + "\n"
