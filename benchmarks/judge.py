"""Lets one tool judge one program, and prints the answer as JSON: the child side of `peers.py`.

    python -m benchmarks.judge {ours,frontrun,frontrun-reused} PROGRAM JOURNAL FOLDER

PROGRAM is one of `programs.py`, or `race:NAME` or `twin:NAME` for a race of `db_races` with two sync tasks.
Before each interleaving that frontrun runs, a line `{"started": n}` is printed, so that the parent knows the
progress of a child that it has to kill.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.db_races import RACES
from benchmarks.programs import JOURNALS, Program, program


def judge_with_ours(candidate: Program) -> dict[str, Any]:
    """Judge by the harness, in one call as a user would write it."""
    try:
        import harness
    except ImportError as error:
        return {"answer": "not installed", "detail": str(error)}
    started = time.perf_counter()
    result = harness.race(
        setup=candidate.setup,
        worker=candidate.worker,
        workers=2,
        invariant=candidate.invariant,
        check=False,
        scheduler="exhaustive",
    )
    seconds = time.perf_counter() - started
    return {
        "answer": str(getattr(result.verdict, "value", result.verdict)),
        "executions": result.executions,
        "complete": result.complete,
        "seconds": seconds,
        "startup_seconds": result.startup_seconds,
        "detail": "" if result.complete else "stopped early",
    }


# Documented options, in its favour: no spawning anew, and the only bound with which it claims completeness.
FRONTRUN_OPTIONS: dict[str, dict[str, Any]] = {
    "frontrun": {},
    "frontrun-reused": {"reuse_workers": True, "preemption_bound": None},
}


def judge_with_frontrun(candidate: Program, folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Judge by frontrun's `explore(execution="process")`; each interleaving gets a fresh database in memory, as ours does."""
    try:
        import frontrun
    except ImportError as error:
        return {"answer": "not installed", "detail": str(error)}
    reset = ResetFromTemplate(candidate.setup, folder)
    started = time.perf_counter()
    try:
        result = frontrun.explore(
            setup=reset,
            invariant=candidate.invariant,
            execution="process",
            **frontrun_workers(candidate),
            **options,
        )
    except ValueError as error:
        seconds = time.perf_counter() - started
        return {"answer": "refused", "detail": str(error), "executions": 0, "seconds": seconds}
    answers = {True: "valid", False: "invalid", None: "inconclusive"}
    return {
        "answer": answers[result.property_holds],
        "kind": result.failure_kind,
        "executions": result.num_explored,
        "complete": result.exhausted,
        "seconds": time.perf_counter() - started,
        "detail": (result.explanation or result.inconclusive_reason or ""),
        "version": metadata.version("frontrun"),
    }


def frontrun_workers(candidate: Program) -> dict[str, Any]:
    """Return the arguments that give frontrun two workers."""
    if candidate.indexed:
        return {"workers": [functools.partial(candidate.worker, index=index) for index in (0, 1)]}
    return {"workers": candidate.worker, "count": 2}


class ResetFromTemplate:
    """The `setup` for frontrun: writes the database of every interleaving from the bytes of a template that is made once."""

    def __init__(self, set_up: Callable[[Path], None], folder: Path) -> None:
        template = folder / "template.db"
        set_up(template)
        self._bytes = template.read_bytes()
        self._db = folder / "race.db"
        self._started = 0

    def __call__(self) -> Path:
        """Print that another interleaving begins, write the database anew, and return its path."""
        self._started += 1
        print(json.dumps({"started": self._started}), flush=True)
        for suffix in ("", "-journal", "-wal", "-shm"):
            self._db.with_name(self._db.name + suffix).unlink(missing_ok=True)
        self._db.write_bytes(self._bytes)
        return self._db


def candidate_called(name: str, journal: str) -> Program:
    """Return the program of that name, or a race of that name as a program."""
    kind, _, race_name = name.partition(":")
    if not race_name:
        return program(name, journal)
    race = next(race for race in RACES if race.name == race_name)
    tasks, expected = (race.faulty, "invalid") if kind == "race" else (race.correct, "valid")
    dispatch = functools.partial(run_task, race_name, kind)
    assert len(tasks) == 2
    return Program(name, "delete", race.story, race.set_up, dispatch, race.right, expected, indexed=True)  # type: ignore[arg-type]


def run_task(name: str, kind: str, db: Path, index: int) -> None:
    """Run one task of a race, found by name, so that a call of this function can be pickled for a spawned process."""
    race = next(race for race in RACES if race.name == name)
    (race.faulty if kind == "race" else race.correct)[index](db)


def main() -> None:
    """Judge, then print one JSON object."""
    keep_lines = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=keep_lines)
    parser.add_argument("tool", choices=("ours", *FRONTRUN_OPTIONS))
    parser.add_argument("program")
    parser.add_argument("journal", choices=JOURNALS)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    candidate = candidate_called(arguments.program, arguments.journal)
    if arguments.tool == "ours":
        answer = judge_with_ours(candidate)
    else:
        answer = judge_with_frontrun(candidate, arguments.folder, FRONTRUN_OPTIONS[arguments.tool])
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
