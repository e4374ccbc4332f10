"""One program judged: searched, tried by brute force, run for real, and compared."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.soundness.program import Program
from benchmarks.soundness.searching import Searches, searched
from benchmarks.soundness.wild import Conductor, Wild
from harness.errors import HarnessError

__all__ = ["Budget", "Judged", "judged", "sweep"]

_ROOT = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
_PREFIX = f"soundness-{secrets.token_hex(4)}-"
"""Of this process and those that it forks."""


@dataclass(frozen=True)
class Budget:
    """How many executions the complete search and brute force may take, how many real runs are made, and seconds of each."""

    most: int = 3_000
    brute: int = 2_000
    wild: int = 100
    seconds: float = 40.0


@dataclass
class Judged:
    """The result for a program. ``incomplete`` says why the search is not complete: then nothing is compared.

    ``differences`` are outcomes that one search has and another has not, ``outside`` those that were seen for real
    only; each with a description. ``compared`` names the searches that could be compared to their end.
    """

    seed: int
    family: str
    incomplete: str = ""
    executions: int = 0
    outcomes: int = 0
    compared: str = ""
    runs: int = 0
    seen: int = 0
    unjudged: int = 0
    kills: int = 0
    seconds: float = 0.0
    differences: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> bool:
        """Whether something was found that must not be."""
        return bool(self.differences or self.outside)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON data, without empty fields."""
        return {name: value for name, value in asdict(self).items() if value or name in ("seed", "family")}


def sweep() -> None:
    """Remove the folders of this process and its forks: a killed one could not do so itself."""
    for folder in _ROOT.glob(f"{_PREFIX}*"):
        shutil.rmtree(folder, ignore_errors=True)


def judged(program: Program, budget: Budget) -> Judged:
    """Search *program* in every way and run it for real; return the differences."""
    began = time.monotonic()
    folder = _ROOT / f"{_PREFIX}{secrets.token_hex(4)}"
    conductor = Conductor(program, folder)
    try:
        found = Judged(program.seed, program.family)
        try:
            searches = searched(program, most=budget.most, brute=budget.brute, seconds=budget.seconds)
        except HarnessError as error:
            found.incomplete = f"{type(error).__name__}: {str(error).strip().splitlines()[-1]}"
            return found
        _compare(found, searches)
        if not found.incomplete and searches.complete.undivided:
            found.notes.append("not run for real: complete with each SQL statement in one piece")
        elif not found.incomplete:
            _beside(found, searches, conductor.run(budget.wild, budget.seconds, program.seed))
    finally:
        conductor.close()
        shutil.rmtree(folder, ignore_errors=True)
        found.seconds = round(time.monotonic() - began, 3)
    return found


def _compare(found: Judged, searches: Searches) -> None:
    """Record the results of the searches, and their differences."""
    complete = searches.complete
    found.incomplete, found.executions, found.notes = complete.why, complete.executions, list(complete.notes)
    found.outcomes = len(complete.outcomes)
    if found.incomplete:
        return
    for name, other in (("with states", searches.stateful), ("brute force", searches.brute)):
        assert other is not None
        if other.complete:
            found.compared += f"{', ' if found.compared else ''}{name}"
            for outcome in sorted(complete.outcomes - other.outcomes):
                found.differences.append(f"not found {name}: {outcome} ({complete.schedules[outcome]})")
        for outcome in sorted(other.outcomes - complete.outcomes):
            found.differences.append(f"found only {name}: {outcome} ({other.schedules[outcome]})")


def _beside(found: Judged, searches: Searches, wild: Wild) -> None:
    """Note which outcomes were seen for real, and which of them no search found."""
    known = searches.complete.outcomes
    found.runs, found.unjudged, found.kills = wild.runs, wild.unjudged, wild.kills
    found.seen = len(known & wild.seen.keys())
    found.outside = [
        f"seen {times} times: {outcome}" for outcome, times in sorted(wild.seen.items()) if outcome not in known
    ]
    if wild.error:
        found.incomplete = wild.error
