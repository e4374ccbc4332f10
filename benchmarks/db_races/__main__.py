"""Lists the races, or runs them uncontrolled.

    python -m benchmarks.db_races [NAME ...] [--in-turn | --run ROUNDS [--seconds SECONDS] [--correct]]

`--run` runs ROUNDS rounds, each with real processes started together, and prints how many broke the rule. `--in-turn` checks
whether the rule holds where nothing overlaps, for the faulty and the correct tasks, in both orders; exit code 1 if not.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.db_races import RACES, Race
from benchmarks.db_races.uncontrolled import folder, in_turn, together


def main() -> int:
    """List or run the races, and return the exit code; exit with code 2 for bad usage."""
    keep_lines = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m benchmarks.db_races", description=__doc__, formatter_class=keep_lines)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which races (all)")
    parser.add_argument("--in-turn", action="store_true", help="run each once, one task after another")
    parser.add_argument("--run", type=int, default=0, metavar="ROUNDS", help="run each so often")
    parser.add_argument("--seconds", type=float, default=10.0, help="and no longer than this (10)")
    parser.add_argument("--correct", action="store_true", help="run the twins that are right")
    arguments = parser.parse_args()
    known = {race.name: race for race in RACES}
    if unknown := [name for name in arguments.names if name not in known]:
        parser.error(f"there is no race {unknown[0]!r}; there are {', '.join(known)}")
    chosen = [known[name] for name in arguments.names] or list(RACES)
    if arguments.in_turn:
        wrong = [each for race in chosen for each in wrong_in_turn(race)]
        print("\n".join(wrong) or f"{len(chosen)} races hold where nothing overlaps")
        return 1 if wrong else 0
    for race in chosen:
        if arguments.run:
            run_together(race, arguments.run, arguments.seconds, correct=arguments.correct)
        else:
            print(f"{race.name:28} {len(race.faulty):3} tasks  {race.story}")
    return 0


def wrong_in_turn(race: Race) -> list[str]:
    """Return which tasks of the race break its rule though nothing overlaps; a single faulty task is left out.

    Such a task overlaps within itself, by its coroutines or by a cancellation.
    """
    wrong = []
    for kind, tasks in (("faulty", race.faulty if len(race.faulty) > 1 else ()), ("correct", race.correct)):
        for order in (tasks, tasks[::-1]) if tasks else ():
            with folder() as place:
                if not in_turn(race, order, place / "race.db"):
                    wrong.append(f"{race.name}: the {kind} tasks break the rule one after another")
    return wrong


def run_together(race: Race, rounds: int, seconds: float, *, correct: bool) -> None:
    """Run the race uncontrolled, and print how often its rule was broken."""
    with folder() as place:
        tasks = race.correct if correct else race.faulty
        found = together(race, tasks, place, rounds=rounds, seconds=seconds)
    first = f"first {found.first}, {found.message}" if found.first else ""
    print(f"{race.name:28} {found.broken:5} of {found.rounds:5} in {found.seconds:5.1f} s  {first}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
