"""Saved counterexamples on the command line: the scenario that one is of, and the command that replays it."""

from __future__ import annotations

import shlex
from argparse import Namespace
from pathlib import Path

from harness import registry
from harness.errors import BadInput
from harness.project.suggestions import nearest
from harness.saved.counterexample import Counterexample
from harness.scenario import Scenario

__all__ = ["replay_command", "scenario_of"]


def replay_command(path: Path, scenario: str) -> str:
    """Return the command that replays *path*; *scenario* is the scenario's reference on the command line."""
    own = f" --scenario {shlex.quote(scenario)}" if ":" in scenario else ""
    return f"harness replay {shlex.quote(str(path))}{own}"


def scenario_of(options: Namespace, path: Path, counterexample: Counterexample) -> Scenario:
    """Return the scenario of the *counterexample* in the file *path*.

    Raises ``BadInput`` if it is not installed, or if the scenario given on the command line is another one.
    """
    name, variant = counterexample.scenario, counterexample.variant or None
    if options.scenario is None:
        # The name comes from the file, which is not trusted: it is only looked up, never imported.
        if name not in (known := registry.scenarios()):
            raise BadInput(
                f"{str(path)!r} is of the scenario {name!r}, which is not known here. "
                f"{nearest(name, known)}\n"
                "Is it one of your own? Then say where it is: --scenario path/to/file.py:ATTRIBUTE"
            )
        return registry.find(name, variant).carried_out(None, None, options.postgres)
    scenario = registry.find(options.scenario, variant)
    if scenario.name != name:
        raise BadInput(
            f"{str(path)!r} is of the scenario {name!r}, but {options.scenario!r} is {scenario.name!r}. "
            "Give the one it was found with."
        )
    return scenario.carried_out(None, None, options.postgres)
