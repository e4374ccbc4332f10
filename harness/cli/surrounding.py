"""``harness around``, a command for commands: what becomes of a recorded race over the code as it is here, as JSON."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from harness import registry
from harness.cli.terminal import print_json
from harness.control.neighbourhood import look_around
from harness.counterexample import load

__all__ = ["command"]


def command(options: Namespace) -> int:
    """Look around the race; return 0."""
    found = load(Path(options.file))
    print_json(asdict(look_around(registry.find(options.scenario, options.variant), found)))
    return 0
