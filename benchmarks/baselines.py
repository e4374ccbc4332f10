"""The baselines of `power.py`: the same cases uncontrolled, and under frontrun where it can express them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from benchmarks.child import fresh_folder, run_child
from benchmarks.db_races import RACES, Race
from benchmarks.db_races.uncontrolled import together
from benchmarks.jobs import Failed, done
from benchmarks.power_record import Record
from harness import registry

FRONTRUN = ("frontrun", "frontrun-reused")
_FOR_EVER = 10**9
_STARTING = 120.0


class Piece(NamedTuple):
    """One measurement of a case: its `kind`, and its length in seconds."""

    suite: str
    case: str
    kind: str
    seconds: float
    python: str


def add(record: Record, cases: Sequence[tuple[str, str]], *, seconds: float, frontrun_python: str) -> None:
    """Measure the baselines that the record lacks, one at a time, because uncontrolled runs need all cores."""
    has_frontrun = run_child("benchmarks.has_frontrun", (), cap=60, python=frontrun_python).answer
    kinds = kinds_with_frontrun if has_frontrun and has_frontrun["version"] else kinds_without
    pieces = [
        Piece(suite, case, kind, seconds, frontrun_python)
        for suite, case in cases
        for kind in kinds(suite, case)
        if kind not in record.baselines(suite, case)
    ]
    for piece, result in done(measure, pieces, jobs=1, cap=seconds + _STARTING):
        if isinstance(result, Failed):
            result = {"error": result.why}
        record.add_baseline(piece.suite, piece.case, piece.kind, result)


def kinds_without(suite: str, case: str) -> Iterator[str]:
    """Yield the kinds of measurement that are possible for a case without frontrun."""
    if suite == "races" or registry.find(case.partition("/")[0]).turns is not None:
        yield "uncontrolled"


def kinds_with_frontrun(suite: str, case: str) -> Iterator[str]:
    """Yield the kinds of measurement that are possible with frontrun: its process mode takes sync tasks, and no faults."""
    yield from kinds_without(suite, case)
    if suite == "races" and can_express(_race(case)):
        for tool in FRONTRUN:
            yield from (f"{tool} race", f"{tool} twin")


def can_express(race: Race) -> bool:
    """Return whether frontrun can express the race: two sync tasks and no fault."""
    return len(race.faulty) == 2 and not race.faults and not inspect.iscoroutinefunction(race.faulty[0])


def measure(piece: Piece) -> dict[str, Any]:
    """Make one measurement, in the calling process, and return its result."""
    if piece.kind == "uncontrolled":
        measured = race_uncontrolled if piece.suite == "races" else variant_uncontrolled
        return measured(piece.case, piece.seconds)
    tool, kind = piece.kind.split()
    return frontrun_says(tool, f"{kind}:{piece.case}", piece.seconds, piece.python)


def race_uncontrolled(name: str, seconds: float) -> dict[str, Any]:
    """Run a race's tasks in real processes, started together, again and again, on a file system in memory for speed."""
    race = _race(name)
    with fresh_folder() as folder:
        return asdict(together(race, race.faulty, folder, rounds=_FOR_EVER, seconds=seconds))


def variant_uncontrolled(case: str, seconds: float) -> dict[str, Any]:
    """Run `harness stress` on a variant, with a kill each second where the scenario allows kills."""
    from harness.stress.running import stress

    name, _, variant = case.partition("/")
    scenario = registry.find(name, variant)
    kill_every = 1.0 if scenario.faults.kill and scenario.faults.most else None
    stressed = stress(scenario, name, seconds=seconds, kill_every=kill_every)
    return {
        "rounds": stressed.turns,
        "broken": max((violation.turns for violation in stressed.violations), default=0),
        "seconds": stressed.seconds,
        "message": "; ".join(f"{each.rule}: {each.message}" for each in stressed.violations)[:200],
        "verdict": str(stressed.verdict),
    }


def frontrun_says(tool: str, program: str, seconds: float, python: str) -> dict[str, Any]:
    """Return frontrun's answer, from a process that is killed after *seconds*; without one, how many executions it ended."""
    with fresh_folder() as folder:
        outcome = run_child("benchmarks.judge", (tool, program, "delete", str(folder)), cap=seconds, python=python)
    found = outcome.answer or {}
    why = found.get("answer") or ("no answer" if outcome.capped else f"crashed: {outcome.errors[-200:]}")
    return {
        "answer": why,
        "kind": found.get("kind"),
        "executions": int(found.get("executions", found.get("started", 1) - 1)),
        "seconds": round(float(found.get("seconds", outcome.seconds)), 3),
        "complete": found.get("complete"),
    }


def _race(name: str) -> Race:
    return next(race for race in RACES if race.name == name)
