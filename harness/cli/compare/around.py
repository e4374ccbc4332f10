"""``harness around``, used by other commands: reruns a recorded race and its neighbours on this code; prints JSON."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from harness import registry
from harness.cli.terminal import print_json
from harness.control.repeating.changed_code import look_around
from harness.saved.counterexample import load

__all__ = ["command"]


def command(options: Namespace) -> int:
    """Run the race and its neighbouring schedules, print the results as JSON, and return 0."""
    found = load(Path(options.file))
    print_json(asdict(look_around(registry.find(options.scenario, options.variant), found)))
    return 0
