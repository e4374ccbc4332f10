"""Why a minimal failing execution fails, as a value: race windows, deciding pairs of steps, the faults that it takes.

``harness/control/repeating/neighbours.py`` makes it by running the neighbours of the execution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.values.history import Step
from harness.values.names import Resource
from harness.values.schedule import Schedule

__all__ = ["ERRORS", "Conflict", "Exchange", "Explanation", "FaultRole", "Named", "Place", "Window", "weight"]

ERRORS = ("busy", "full", "io", "lost")
"""Faults that an operation ends with; the others befall a task, a worker, a message or the clock between two steps."""


class Named(NamedTuple):
    """A step, and its ``number`` in the counterexample (None: it is only in a neighbour of it).

    ``statement`` is the one whose rows it fetches, if it is a fetch.
    """

    step: Step
    number: int | None
    statement: Step | None = None


class Conflict(NamedTuple):
    """A *resource* at which two steps conflict, with the mode of the first and of the second access (``r``, ``w``)."""

    resource: str
    first: str
    second: str


class Place(NamedTuple):
    """Something was moved by so many steps (less than 0: earlier): ``outcome`` is ``fails``, ``passes`` or ``impossible``."""

    by: int
    outcome: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """Two schedules equal up to a decision: where ``first`` is next it fails, where ``second`` is next it passes.

    ``common`` is how many choices *passing* has in common with the counterexample before they part.
    """

    first: Named
    second: Named
    conflicts: tuple[Conflict, ...]
    failing: Schedule
    passing: Schedule
    common: int


@dataclass(frozen=True, slots=True)
class Window:
    """Where one task may come between two steps of another so that it fails.

    ``at`` is the number of the step that took over, ``preempts`` whether it did so from a task that could have gone on.
    ``opens`` is the last step that the interrupted task must have made, ``closes`` the first that it must not (None: there
    is no such). ``intruding`` is the step that came between. ``places`` says what became of moving the switch.
    ``opening`` and ``closing`` are the pairs whose order decides at either end.
    """

    at: int
    preempts: bool
    opens: Named | None
    closes: Named | None
    intruding: Named | None
    places: tuple[Place, ...]
    opening: Exchange | None = None
    closing: Exchange | None = None


@dataclass(frozen=True, slots=True)
class FaultRole:
    """The role of one fault, step number ``at``, in the failure.

    ``essential`` says that no execution without it broke the same rule (None: not tried); ``instead`` names another
    rule that broke, if any. The fault must fall between the steps ``after`` and ``before``, as far as its place
    matters.
    """

    at: int
    essential: bool | None
    after: Named | None
    before: Named | None
    places: tuple[Place, ...]
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """See the module's text.

    Of ``neighbours`` distinct schedules that were run beside the counterexample ``failing`` fail, ``otherwise`` of them by
    another rule. ``executions`` is what it took, ``cut_short`` why not all was tried. ``overlap`` says that calls, or a
    call's tasks, overlapped.
    ``run_executions`` and ``run_failures`` are those of the run that found it. ``alone`` says whether the same calls fail, too,
    one after another in one worker (None: not tried). ``repeats`` are the steps that an execution without end goes on making.
    """

    windows: tuple[Window, ...]
    faults: tuple[FaultRole, ...]
    overlap: bool
    neighbours: int
    failing: int
    otherwise: int
    executions: int
    seconds: float
    cut_short: str = ""
    run_executions: int = 0
    run_failures: int = 0
    alone: bool | None = None
    repeats: tuple[Named, ...] = ()

    @property
    def critical(self) -> Exchange | None:
        """The pair of steps that decides by its order, with the nearest passing schedule; pairs at data come first."""
        found = [pair for window in self.windows for pair in (window.closing, window.opening) if pair is not None]
        return max(found, key=lambda pair: (weight(pair.conflicts), pair.common), default=None)


def weight(meets: Sequence[Conflict]) -> int:
    """Return how much a pair of steps that *meets* so tells: 2 if at data, 1 if at something else, 0 if not at all."""
    return 2 if any(Resource(each.resource).is_data for each in meets) else bool(meets)
