"""``harness replay FILE --pdb WORKER:STEP``: the debugger in one worker, stopped before that step."""

from __future__ import annotations

import os
import re
import sys

from harness.cli.terminal import width
from harness.control.repeating.stops import Moment, walk
from harness.errors import BadInput
from harness.reports.text.step_walk import step_line
from harness.saved.counterexample import Counterexample
from harness.scenario import Scenario

__all__ = ["debug"]

_WHERE = re.compile(r"w?([0-9]{1,3}):([0-9]{1,6})")
_PATIENCE = 1e6
"""Seconds that the user may stay at the debugger's prompt before the worker counts as stuck."""


def debug(scenario: Scenario, found: Counterexample, where: str) -> int:
    """Replay *found* up to the step, start the debugger in the worker there, and continue to the end; return 0.

    Raises ``BadInput`` if there is no such worker or step, or if standard input is not a terminal.
    """
    worker, step = _parsed(where, found)
    if not sys.stdin.isatty():
        raise BadInput("The debugger needs a terminal, and standard input is none. For a script there is --step.")
    terminal = os.ttyname(sys.stdin.fileno())

    def visit(moment: Moment) -> int | None:
        if moment.ended:
            failure = found.failure
            print(f"The end. Broken: {failure.kind} '{failure.rule}': {failure.message}")
            return None
        print(step_line(step, found.steps[step], width()), flush=True)
        own = [other.lane for other in found.steps[step:] if other.worker == worker]
        if not moment.debug(worker, own[0] if own else "", terminal):
            print(f"Worker {worker} has nothing under way before step {step}: its next call has not begun.")
        return len(found.steps)

    walk(scenario, found, visit, start=step, patience=_PATIENCE)
    return 0


def _parsed(where: str, found: Counterexample) -> tuple[int, int]:
    match = _WHERE.fullmatch(where)
    if match is None:
        raise BadInput(f"{where!r} is no WORKER:STEP. Give two numbers, for example 1:7; `harness replay` shows both.")
    worker, step = int(match.group(1)), int(match.group(2))
    if worker >= found.workers or step >= len(found.steps):
        raise BadInput(
            f"There is no worker {worker} and step {step}: it has {found.workers} workers and {len(found.steps)} steps, "
            "each numbered from 0."
        )
    return worker, step
