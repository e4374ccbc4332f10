"""Measures in how many executions each scheduler finds each fault: a table, and JSON that an interrupted run continues.

    python -m benchmarks.power [--variants | --races | --twins] [--only PATTERN] [--rollback-only]
                               [--schedulers NAME ...] [--seeds N] [--executions N] [--seconds N]
                               [--baselines SECONDS] [--jobs N] [--json FILE]

Cases are the faulty variants of the reference (1,000 executions each) and the races of `db_races` (10,000). `--twins` are the
correct twins of the races, where every failure is a false accusation. Each case, scheduler and seed is a search in a process
of its own, which ends at the first failure: nothing is confirmed or shrunk. With `--baselines`, each case also runs for
SECONDS uncontrolled, and as long under frontrun if that can express it. Exit code 1 if the default scheduler misses a case.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from benchmarks import baselines, power_table
from benchmarks.db_races import RACES
from benchmarks.jobs import Failed, done
from benchmarks.power_record import Record
from benchmarks.races import scenario_of
from benchmarks.searching import SCHEDULERS, WITHOUT_SEED, Found, search
from harness import registry
from harness.project.config import fix_hash_seed
from harness.scenario import Scenario

EXECUTIONS = {"variants": 1_000, "races": 10_000, "twins": 10_000}
DEFAULT = "portfolio"
_STARTING = 60.0
"""Seconds that a search may take besides its own."""


class Case(NamedTuple):
    """A case to search: `make` returns its scenario."""

    suite: str
    name: str
    make: Callable[[], Scenario]


class Cell(NamedTuple):
    """One search."""

    case: Case
    scheduler: str
    seed: int
    executions: int
    seconds: float


def cases(suites: Sequence[str], only: str, *, rollback_only: bool) -> list[Case]:
    """Return every case of the suites with a name that matches the pattern."""
    found: list[Case] = []
    if "variants" in suites:
        for name, scenario in registry.scenarios().items():
            if not (rollback_only and name.endswith("-wal")):
                found += [_variant(name, variant) for variant in scenario.variants]
    for suite in ("races", "twins"):
        if suite in suites:
            correct = suite == "twins"
            found += [Case(suite, race.name, _race(index, correct)) for index, race in enumerate(RACES)]
    return [case for case in found if fnmatchcase(case.name, only)]


def _variant(name: str, variant: str) -> Case:
    return Case("variants", f"{name}/{variant}", lambda: registry.find(name, variant))


def _race(index: int, correct: bool) -> Callable[[], Scenario]:
    return lambda: scenario_of(RACES[index], correct=correct)


def cells(chosen: Sequence[Case], arguments: argparse.Namespace) -> Iterator[Cell]:
    """Yield every search, in the order of the schedulers; the first seed of all cases comes before the second seed."""
    for scheduler in arguments.schedulers:
        for seed in range(1 if scheduler in WITHOUT_SEED else arguments.seeds):
            for case in chosen:
                executions = arguments.executions or EXECUTIONS[case.suite]
                yield Cell(case, scheduler, seed, executions, arguments.seconds)


def measure(cell: Cell) -> Found:
    """Make one search, in the calling process."""
    return search(cell.case.make(), cell.scheduler, seed=cell.seed, executions=cell.executions, seconds=cell.seconds)


def main() -> int:
    """Make the searches that the file lacks, save each result, print the tables, and return the exit code."""
    fix_hash_seed()
    parser = _parser()
    arguments = parser.parse_args()
    suites = [suite for suite in EXECUTIONS if getattr(arguments, suite)] or ["variants", "races"]
    chosen = cases(suites, arguments.only, rollback_only=arguments.rollback_only)
    if not chosen:
        parser.error(f"no case matches {arguments.only!r}")
    record = Record(arguments.json)
    try:
        record.begin({suite: arguments.executions or EXECUTIONS[suite] for suite in suites})
    except ValueError as error:
        parser.error(str(error))
    wanted = [cell for cell in cells(chosen, arguments) if not record.has(*_key(cell), cell.seconds)]
    results = done(measure, wanted, jobs=arguments.jobs, cap=arguments.seconds + _STARTING)
    for said, (cell, result) in enumerate(results, 1):
        record.add(*_key(cell), result.why if isinstance(result, Failed) else result)
        if isinstance(result, Failed) or (result.first is None) != (cell.case.suite == "twins"):
            _tell(f"{cell.case.name} {cell.scheduler} seed {cell.seed}: {_short(result)}", said, len(wanted))
        elif said % 100 == 0:
            _tell("", said, len(wanted))
    if arguments.baselines:
        names = [(case.suite, case.name) for case in chosen if case.suite != "twins"]
        baselines.add(record, names, seconds=arguments.baselines, frontrun_python=arguments.frontrun_python)
    record.save()
    for suite in suites:
        print("\n".join(power_table.lines(record.data, suite)))
    return 1 if any(power_table.missed(record.data, suite, DEFAULT) for suite in suites) else 0


def _key(cell: Cell) -> tuple[str, str, str, int]:
    return cell.case.suite, cell.case.name, cell.scheduler, cell.seed


def _short(result: Found | Failed) -> str:
    if isinstance(result, Failed):
        return result.why
    if result.first is None:
        return f"not found in {result.executions} executions ({result.seconds:.0f} s)"
    return f"ACCUSED at {result.first}: {result.failure}"


def _tell(text: str, said: int, of: int) -> None:
    print(f"[{said}/{of}] {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    keep_lines = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m benchmarks.power", description=__doc__, formatter_class=keep_lines)
    for suite, executions in EXECUTIONS.items():
        parser.add_argument(f"--{suite}", action="store_true", help=f"only these, {executions} executions each")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="cases whose name matches, as *over-http*")
    parser.add_argument("--rollback-only", action="store_true", help="no variant over a write-ahead log")
    parser.add_argument("--schedulers", nargs="*", choices=SCHEDULERS, default=list(SCHEDULERS), help="(all)")
    parser.add_argument("--seeds", type=int, default=20, help="how many, from 0 (20)")
    parser.add_argument("--executions", type=int, help="at most, per search")
    parser.add_argument(
        "--seconds", type=float, default=600.0, help="at most, per search (600); with more, what was cut is redone"
    )
    parser.add_argument("--baselines", type=float, default=0.0, metavar="SECONDS", help="also these, so long (0: not)")
    parser.add_argument("--frontrun-python", default=sys.executable, help="the interpreter that has frontrun")
    parser.add_argument("--jobs", type=int, default=2, help="searches at once (2)")
    parser.add_argument("--json", type=Path, help="where results are kept; what is there is not measured again")
    return parser


if __name__ == "__main__":
    sys.exit(main())
