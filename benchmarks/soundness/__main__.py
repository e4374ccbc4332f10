"""A second opinion on the word "complete": random programs, searched in two ways and then run for real.

    python -m benchmarks.soundness [--programs N] [--wild N] [--seed N] [--jobs N] [--seconds S] [--json FILE]
    python -m benchmarks.soundness --pairs [...]         instead every two of a list of short programs (``pairs.py``)
    python -m benchmarks.soundness --show SEED           print a program as a Python module
    python -m benchmarks.soundness --shrink SEED         find the smallest program that shows what that of SEED shows

Each program is a few statements for two or three workers, drawn from its seed: SQL, files, locks, threads, tasks. (a) The
complete search, with states and without, must find the outcomes that brute force finds. (b) The same program runs for real, in
real processes over the real SQLite, file system, clock and event loop, with random delays, kills and cancels: each outcome seen
must be among those that the complete search found. An outcome is what the calls were told, and what is in the directory at the
end (``state.py`` says what is left out). A search that is not complete within its budget is counted, and nothing is compared.
One that is complete with each SQL statement in one piece (a connection waits for no lock) is compared with brute force only.

The programs in ``found/``, which showed something once, come first. Exit code 1 if anything differed, 2 for bad arguments, 130
if interrupted. A cut run with a ``--record`` goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.jobs import done
from benchmarks.soundness.draw import FAMILIES, draw
from benchmarks.soundness.judging import Budget, Judged, judged, sweep
from benchmarks.soundness.pairs import pairs
from benchmarks.soundness.program import Program, source_of
from benchmarks.soundness.record import Record, amounts, told
from benchmarks.soundness.shrinking import shrunk

FOUND = Path(__file__).parent / "found"
_CAP = 600.0
"""A program that takes more seconds is killed, with its processes, and counts as not complete."""


def programs(count: int, seed: int, only: tuple[str, ...]) -> Iterator[tuple[str, Program]]:
    """Yield the programs to judge by name: those found earlier, then *count* drawn from *seed* on."""
    for file in sorted(FOUND.glob("*.json")):
        program = Program.from_json(file.read_text())
        if not only or program.family in only:
            yield file.stem, program
    for number in range(seed, seed + count):
        yield str(number), draw(number, only)


def _judge(budget: Budget, named: tuple[str, Program]) -> Judged:
    return judged(named[1], budget)


def run(arguments: argparse.Namespace) -> int:
    """Judge programs, print each difference as it comes, and print the sums."""
    budget = Budget(wild=arguments.wild, brute=arguments.brute, most=arguments.most)
    only = tuple(arguments.only)
    record = Record(arguments.record, f"{budget} {only}")
    every_one = pairs(only) if arguments.pairs else programs(arguments.programs, arguments.seed, only)
    todo = [named for named in every_one if named[0] not in record.rows]
    began, interrupted = time.monotonic(), False
    # Started in the background of a shell that hands nothing on, it would not hear of an interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    every = done(partial(_judge, budget), todo, jobs=arguments.jobs, cap=_CAP)
    try:
        for number, ((name, program), came) in enumerate(every, start=1):
            found = came if isinstance(came, Judged) else Judged(program.seed, program.family, incomplete=came.why)
            record.add(name, found.plain())
            _say(name, found)
            seconds = time.monotonic() - began
            if number % 50 == 0:
                print(f"{number} of {len(todo)} programs in {seconds:.0f} s", flush=True)
            if arguments.seconds and seconds > arguments.seconds:
                break
    except KeyboardInterrupt:
        interrupted = True
    finally:
        every.close()  # type: ignore[attr-defined]
        sweep()
    sums = {**amounts(record.rows.values()), "seconds": round(time.monotonic() - began)}
    print(told(sums), flush=True)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps({"version": 1, "wild": budget.wild, **sums}, indent=1) + "\n")
    if interrupted:
        return 130
    return int(bool(sums["differences"] or sums["outside"]))


def _say(name: str, found: Judged) -> None:
    for words, wrongs in (("DIFFERENCE", found.differences), ("OUTSIDE", found.outside)):
        for wrong in wrongs[:3]:
            print(f"{words} in program {name} ({found.family}): {wrong[:600]}", flush=True)


def shrink(seed: int, wild: int) -> int:
    """Print the smallest program that shows the same difference as that of *seed*, as JSON and as Python."""
    budget = Budget(most=1_000, brute=500, wild=wild, seconds=20.0)
    program = draw(seed)
    if not judged(program, budget).wrong:
        print(f"The program of seed {seed} shows nothing: the searches agree, and no real run left what they found.")
        return 0
    smallest = shrunk(program, lambda smaller: judged(smaller, budget).wrong)
    print(smallest.to_json(), source_of(smallest), sep="\n\n")
    _say(str(seed), judged(smallest, budget))
    return 1


def main() -> int:
    """Run the command."""
    arguments = _parser().parse_args()
    if arguments.show is not None:
        print(source_of(draw(arguments.show)), end="")
        return 0
    if arguments.shrink is not None:
        return shrink(arguments.shrink, max(arguments.wild, 200))
    return run(arguments)


def _parser() -> argparse.ArgumentParser:
    keep_lines = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soundness", description=__doc__, formatter_class=keep_lines
    )
    add = parser.add_argument
    add("--programs", type=_some, default=200, metavar="N", help="drawn at random, beside those in found/ (200)")
    add(
        "--pairs",
        action="store_true",
        help="instead of these every two of some short programs: sql, files, threads, tasks",
    )
    add("--wild", type=_some, default=100, metavar="N", help="real runs of each program (100)")
    add("--most", type=_some, default=3_000, metavar="N", help="executions of a search, or it is not complete (3,000)")
    add("--brute", type=_some, default=2_000, metavar="N", help="executions of brute force (2,000)")
    add("--seed", type=int, default=0, metavar="N", help="of the first program (0)")
    add(
        "--only",
        nargs="+",
        default=(),
        choices=tuple(FAMILIES),
        metavar="FAMILY",
        help=f"of {', '.join(FAMILIES)} (all)",
    )
    add("--jobs", type=_some, default=len(os.sched_getaffinity(0)), metavar="N", help="at the same time (one per core)")
    add("--seconds", type=float, default=0.0, metavar="S", help="begin no program after so many (no limit)")
    add(
        "--record",
        type=Path,
        metavar="FILE",
        help="add each program's results there, and leave out what is in it already",
    )
    add("--json", type=Path, metavar="FILE", help="write the sums as JSON")
    add("--show", type=int, metavar="SEED", help="print that program and end")
    add("--shrink", type=int, metavar="SEED", help="make that program small and end")
    return parser


def _some(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} makes no sense: give 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
