"""Searches for false accusations: explores the reference at length, and replays counterexamples very often.

    python -m benchmarks.accusations [--executions N] [--replays N] [--only PATTERN] [--jobs N] [--json FILE]

The executions are divided evenly among all pairs of a reference scenario and one of four samplers, each pair with a seed of
its own. The replays are divided evenly among the counterexamples of the faulty variants, which the default search finds
first. Exit code 1 if any execution failed or could not be judged, or if any replay did not fail as recorded.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.jobs import Failed, done
from harness import registry
from harness.control.repeating.replays import replay
from harness.control.run import run
from harness.saved.counterexample import Counterexample
from harness.verdict import Verdict

SAMPLERS = ("random", "pct", "pos", "greybox")
PATIENCE = 60.0
"""Seconds without a word until a worker counts as stuck: many, for the machine is busy."""
CAP = 3600.0
NOT_SEEN = "never happened"
"""Why a short run may be unknown without having judged anything wrongly."""


@dataclass(frozen=True)
class Piece:
    """A piece of work: explore a scenario `times` times by a sampler, or replay the counterexample of its `variant`."""

    scenario: str
    variant: str
    sampler: str
    times: int
    seed: int


@dataclass(frozen=True)
class Came:
    """The outcome of a piece: how many executions or replays were made, and the error found (empty for none)."""

    made: int
    seconds: float
    wrong: str


def explored(piece: Piece) -> Came:
    """Explore the reference, and return whether it was wrongly accused."""
    result = run(
        registry.find(piece.scenario),
        scheduler=piece.sampler,
        seed=piece.seed,
        max_executions=piece.times,
        patience=PATIENCE,
        explain=False,
    )
    wrong = ""
    if result.failures:
        found = result.counterexample
        wrong = f"{result.failures} executions failed: {found.failure if found else result.reasons}"
    elif result.verdict is Verdict.UNKNOWN and not all(NOT_SEEN in reason for reason in result.reasons):
        wrong = f"unknown: {' '.join(result.reasons)}"
    return Came(result.executions, result.seconds, wrong)


def replayed(piece: Piece) -> Came:
    """Find the variant's counterexample, replay it, and return whether every replay failed as recorded."""
    scenario = registry.find(piece.scenario, piece.variant)
    result = run(scenario, max_executions=1_000, patience=PATIENCE, explain=False)
    if result.counterexample is None:
        return Came(0, 0.0, f"nothing to replay: {result.verdict} {' '.join(result.reasons)}")
    again = replay(scenario, Counterexample.of(result), times=piece.times, patience=PATIENCE)
    wrong = "" if again.failed_again == piece.times else f"{again.failed_again} failed as recorded. {again.divergence}"
    return Came(again.times if not wrong else again.failed_again, again.seconds, wrong)


def pieces(executions: int, replays: int, only: str) -> Iterator[Piece]:
    """Yield all pieces of work, replays first."""
    scenarios = [one for one in registry.scenarios().values() if fnmatch.fnmatch(one.name, only)]
    variants = [(one.name, variant) for one in scenarios for variant in one.variants]
    for (name, variant), times in zip(variants, _dealt(replays, len(variants)), strict=True):
        if times:
            yield Piece(name, variant, "", times, 0)
    explorations = [(one.name, sampler) for one in scenarios for sampler in SAMPLERS]
    for seed, ((name, sampler), times) in enumerate(
        zip(explorations, _dealt(executions, len(explorations)), strict=True), start=1
    ):
        if times:
            yield Piece(name, "", sampler, times, seed)


def _dealt(cards: int, players: int) -> Sequence[int]:
    return [cards // players + (player < cards % players) for player in range(players)]


def _came(piece: Piece) -> Came:
    return replayed(piece) if piece.variant else explored(piece)


def main() -> int:
    """Do all pieces, print each error when it is found, print sums, and return the exit code."""
    arguments = _parser().parse_args()
    began = time.monotonic()
    sums = {"executions": 0, "replays": 0}
    wrong: list[dict[str, object]] = []
    todo = list(pieces(arguments.executions, arguments.replays, arguments.only))
    for number, (piece, came) in enumerate(done(_came, todo, jobs=arguments.jobs, cap=CAP), start=1):
        why = came.why if isinstance(came, Failed) else came.wrong
        if isinstance(came, Came):
            sums["replays" if piece.variant else "executions"] += came.made
        if why:
            wrong.append({**asdict(piece), "wrong": why})
            print(f"WRONG {piece}: {why}", flush=True)
        if number % 20 == 0 or number == len(todo):
            seconds = time.monotonic() - began
            print(f"{number} of {len(todo)}: {sums}, {len(wrong)} wrong, {seconds:.0f} s", flush=True)
    if arguments.json:
        document = {"version": 1, **sums, "wrong": wrong, "seconds": round(time.monotonic() - began, 1)}
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    return int(bool(wrong))


def _parser() -> argparse.ArgumentParser:
    keep_lines = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=keep_lines)
    parser.add_argument("--executions", type=int, default=100_000, help="of the reference, in all (100,000)")
    parser.add_argument("--replays", type=int, default=10_000, help="of counterexamples, in all (10,000)")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="scenarios whose names match (all)")
    parser.add_argument(
        "--jobs", type=int, default=len(os.sched_getaffinity(0)), help="at the same time (one per core)"
    )
    parser.add_argument("--json", type=Path, help="write the sums as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
