"""Measures executions per second of two-worker token issue: ours against the floor and frontrun's process mode.

In an execution of `http`, two clients add an agent under one key (see `over_http.py`); `postgres` is token issue over
PostgreSQL (`over_postgres.py`).

    python -m benchmarks.throughput [--rounds N] [--executions N] [--frontrun-seconds S] [--split]
                                    [--stores NAME ...] [--only-floor | --only-frontrun] [--frontrun-python FILE] [--json FILE]

The floor is the same statements, one worker after the other, in one process on one core without a scheduler.
Floor and ours alternate, each round in a fresh process. Shares are of medians from the same run, because the speed of
a shared machine drifts. Ours is measured under random interleavings, with an invariant checked after every execution and
without (the floor checks nothing), and in sequence. Interleaved calls wait for each other and try again, so they execute
more statements than the floor does; only in sequence they execute the same ones.
"""

from __future__ import annotations

import argparse
import json
import platform
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.child import fresh_folder, run_child
from benchmarks.goals import SHARE_OF_FLOOR, TIMES_FRONTRUN

ROUND = ("floor", "ours", "ours-unchecked", "ours-in-sequence")
# `autocommit` is `sqlite3` without the lock: frontrun explores it; of the other it runs one interleaving.
STORES = ("sqlite3", "autocommit", "aiosqlite", "http", "postgres")
SPLIT_STORES = ("sqlite3", "aiosqlite")
FRONTRUN_KINDS = ("frontrun-reused", "frontrun-spawned")
FRONTRUN_WORKERS = ("sqlite3", "autocommit")
CHILD_CAP = 120.0

Rates = dict[str, list[float]]


def measure(kind: str, store: str, amount: float, *, python: str = sys.executable) -> dict[str, Any]:
    """Make one measurement in a process of its own; return `{"error": ...}` when there is no result."""
    with fresh_folder() as folder:
        arguments = (kind, store, str(amount), str(folder))
        outcome = run_child("benchmarks.rate", arguments, cap=CHILD_CAP + amount * 0.1, python=python)
    if outcome.answer is None or "started" in outcome.answer:
        how = "killed, it took too long" if outcome.capped else "it printed nothing"
        return {"error": (outcome.errors.strip().splitlines() or [how])[-1]}
    return outcome.answer


def alternate(store: str, kinds: Sequence[str], *, rounds: int, executions: int) -> tuple[Rates, str]:
    """Measure every kind once a round; drop a kind that can't be measured, and return the reason."""
    rates: Rates = {kind: [] for kind in kinds}
    why = ""
    for _ in range(rounds):
        for kind in list(rates):
            found = measure(kind, store, executions)
            if "error" in found:
                del rates[kind]
                why = found["error"]
            else:
                rates[kind].append(found["rate"])
    return rates, why


# -- what is printed -----------------------------------------------------------------------------------------


def store_lines(store: str, rates: Rates) -> Iterator[str]:
    """Yield a line for each kind: the median, the range, and the share of the floor."""
    floor = median(rates["floor"]) if rates.get("floor") else None
    for kind, found in rates.items():
        middle = median(found)
        share = f"{middle / floor:7.0%} of the floor" if floor and kind != "floor" else ""
        goal = f" (goal {SHARE_OF_FLOOR[store]:.0%})" if kind == "ours" and store in SHARE_OF_FLOOR else ""
        spread = f"{min(found):.0f} to {max(found):.0f}"
        yield f"{store:10} {kind:15} {middle:8.0f}/s  {spread:16}{share}{goal}"


def frontrun_lines(found: dict[str, dict[str, Any]], ours: float | None) -> Iterator[str]:
    """Yield a line for each of frontrun's modes and programs: its speed, and how many times faster ours is."""
    for name, each in found.items():
        if "error" in each:
            yield f"{name:26} {each['error']}"
            continue
        compared = ours and each["rate"]
        times = f"  ours is {ours / each['rate']:.0f} times as fast (goal {TIMES_FRONTRUN})" if compared else ""
        said = ", ".join(each["answers"])
        did = f"{each['executions']} executions, {each['searches']} searches, {each['seconds']:.1f} s: {said}"
        yield f"{name:26} {each['rate']:8.2f}/s  {did}{times}"


def split_lines(store: str, found: dict[str, Any]) -> Iterator[str]:
    """Yield the parts of the floor's time, a line for each."""
    if "error" in found:
        yield f"{store}: {found['error']}"
        return
    parts = found["microseconds"]
    whole = sum(parts.values())
    yield f"{store}: {whole:.0f} us per execution, two workers"
    for part, microseconds in parts.items():
        yield f"    {part:26} {microseconds:8.1f} us {microseconds / whole:6.1%}"
    for part, microseconds in found["hop_microseconds"].items():
        yield f"    (one {part}: {microseconds} us)"


# -- the command ---------------------------------------------------------------------------------------------


def main() -> int:
    """Measure and print; return exit code 0, because these are numbers and not a verdict."""
    arguments = _parser().parse_args()
    document: dict[str, Any] = {
        "version": 1,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "rounds": arguments.rounds,
        "executions": arguments.executions,
        "stores": {},
        "frontrun": {},
        "split": {},
    }
    if not arguments.only_frontrun:
        _measure_stores(document, ("floor",) if arguments.only_floor else ROUND, arguments)
    if arguments.split:
        for store in SPLIT_STORES:
            document["split"][store] = found = measure("floor-split", store, arguments.executions)
            _print(split_lines(store, found))
    if not arguments.only_floor:
        _measure_frontrun(document, arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


def _measure_stores(document: dict[str, Any], kinds: Sequence[str], arguments: argparse.Namespace) -> None:
    for store in arguments.stores:
        rates, why = alternate(store, kinds, rounds=arguments.rounds, executions=arguments.executions)
        document["stores"][store] = {"rates": rates, "not_measured": why}
        _print(store_lines(store, rates))
        if why:
            print(f"{store:10} not measured: {why}")
    print()


def _measure_frontrun(document: dict[str, Any], arguments: argparse.Namespace) -> None:
    probe = run_child("benchmarks.has_frontrun", (), cap=30, python=arguments.frontrun_python)
    if probe.answer is None or not probe.answer["version"]:
        print("frontrun is not installed here (see the `bench` dependency group): only ours is shown")
        return
    print(f"frontrun {probe.answer['version']}")
    for worker in FRONTRUN_WORKERS:
        ours = document["stores"].get(worker, {}).get("rates", {}).get("ours")
        for kind in FRONTRUN_KINDS:
            found = measure(kind, worker, arguments.frontrun_seconds, python=arguments.frontrun_python)
            name = f"{kind} {worker}"
            document["frontrun"][name] = found
            _print(frontrun_lines({name: found}, median(ours) if ours else None))


def _print(lines: Iterator[str]) -> None:
    for line in lines:
        print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    keep_lines = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=keep_lines)
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured (5)")
    parser.add_argument("--executions", type=int, default=1000, help="per measurement (1000)")
    parser.add_argument("--frontrun-seconds", type=float, default=20.0, help="per mode and program (20)")
    parser.add_argument("--split", action="store_true", help="also where the floor's time goes")
    parser.add_argument("--stores", nargs="+", choices=STORES, default=STORES, help="which of ours (all)")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--only-floor", action="store_true")
    only.add_argument("--only-frontrun", action="store_true")
    parser.add_argument("--frontrun-python", default=sys.executable, help="the interpreter that has frontrun")
    parser.add_argument("--json", type=Path, help="write the same as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
