"""Measures one speed, and prints it as JSON: the child side of `throughput.py`.

    python -m benchmarks.rate KIND WORKER AMOUNT FOLDER

KIND is `floor`, `floor-split`, `ours`, `ours-unchecked`, `ours-in-sequence` (AMOUNT executions), `frontrun-reused` or
`frontrun-spawned` (AMOUNT seconds). Each is measured in a process of its own: a process that forks workers must never
have opened SQLite itself.
"""

from __future__ import annotations

import argparse
import inspect
import json
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks import floor, tokens
from benchmarks.in_sequence import InSequence
from benchmarks.judge import ResetFromTemplate

Worker = Callable[[Path], Any]
Measures = dict[str, Callable[[], dict[str, Any]]]

WHOLE = {"http": "over_http", "postgres": "over_postgres"}
"""In the place of a worker: what is measured by a module of its own."""

WORKERS: dict[str, Worker] = {
    "sqlite3": tokens.issue_sqlite3,
    "aiosqlite": tokens.issue_aiosqlite,
    "autocommit": tokens.issue_autocommit,
}


def floor_rate(worker: Worker, executions: int, folder: Path) -> dict[str, Any]:
    """Measure the floor, on one core."""
    measure: Any = floor.async_floor if inspect.iscoroutinefunction(worker) else floor.sync_floor
    with floor.one_core():
        template = floor.Template(folder, tokens.set_up)
        measure(template, worker, max(executions // 10, 1))  # warm
        return {"rate": measure(template, worker, executions), "executions": executions}


def floor_split(worker: Worker, executions: int, folder: Path) -> dict[str, Any]:
    """Measure the parts of the floor's time, in microseconds per execution, and for async workers a bare thread hop."""
    is_async = inspect.iscoroutinefunction(worker)
    split = floor.async_split if is_async else floor.sync_split
    with floor.one_core():
        template = floor.Template(folder, tokens.set_up)
        split(template, max(executions // 10, 1))
        hop = floor.hop_microseconds() if is_async else {}
        return {"microseconds": split(template, executions), "hop_microseconds": hop}


def our_rate(worker: Worker, executions: int, *, checked: bool, interleaved: bool = True) -> dict[str, Any]:
    """Measure the harness: *executions* random interleavings; with `checked`, the invariant is checked after each."""
    import harness

    result = harness.race(
        setup=tokens.set_up,
        worker=worker,
        workers=2,
        invariant=tokens.one_active_token if checked else _nothing_to_check,
        check=False,
        scheduler="random" if interleaved else InSequence(),
        seed=1,
        max_executions=executions,
    )
    return {
        "rate": result.executions / result.seconds,
        "executions": result.executions,
        "seconds": result.seconds,
        "startup_seconds": result.startup_seconds,
        "verdict": str(getattr(result.verdict, "value", result.verdict)),
    }


def frontrun_rate(worker: Worker, seconds: float, folder: Path, *, reuse: bool) -> dict[str, Any]:
    """Measure frontrun's process mode: it goes on after a failure, and searches from the start again until the time is up.

    The start of reused workers is not counted, as it is not for the harness. The other mode starts workers for each execution.
    """
    import frontrun

    clock = Clock(ResetFromTemplate(tokens.set_up, folder), tokens.one_active_token)
    end = time.perf_counter() + seconds
    explored, runs, answers = 0, 0, set()
    while (left := end - time.perf_counter()) > 0.5:
        result = frontrun.explore(
            setup=clock.setup,
            workers=worker,
            count=2,
            invariant=clock.invariant,
            execution="process",
            reuse_workers=reuse,
            preemption_bound=None,
            stop_on_first=False,
            total_timeout=left,
        )
        clock.stop()
        explored, runs = explored + result.num_explored, runs + 1
        answers.add(f"{result.property_holds} {result.failure_kind or ''}".strip())
    return {
        "rate": explored / clock.seconds,
        "executions": explored,
        "searches": runs,
        "seconds": clock.seconds,
        "answers": sorted(answers),
    }


class Clock:
    """Measures the time from an exploration's first `setup` to its last `invariant`, or to its end if a `setup` follows."""

    def __init__(self, reset: ResetFromTemplate, invariant: Callable[[Path], bool]) -> None:
        self.seconds = 0.0
        self._reset, self._invariant = reset, invariant
        self._first: float | None = None
        self._last: float | None = None

    def setup(self) -> Path:
        """Start the clock at the first call, and write the database anew."""
        if self._first is None:
            self._first = time.perf_counter()
        self._last = None
        return self._reset()

    def invariant(self, db: Path) -> bool:
        """Check the invariant, and note the time."""
        try:
            return self._invariant(db)
        finally:
            self._last = time.perf_counter()

    def stop(self) -> None:
        """Add this exploration's time to the sum."""
        if self._first is not None:
            self.seconds += (self._last or time.perf_counter()) - self._first
        self._first = self._last = None


def _nothing_to_check(_db: Path) -> bool:
    return True


def main() -> None:
    """Measure, then print one JSON object."""
    keep_lines = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=keep_lines)
    parser.add_argument("kind")
    parser.add_argument("worker", choices=(*WORKERS, *WHOLE))
    parser.add_argument("amount", type=float)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    amount, folder = arguments.amount, arguments.folder
    name = arguments.worker
    measures = _whole(WHOLE[name], amount, folder) if name in WHOLE else _measures(name, amount, folder)
    print(json.dumps(measures[arguments.kind]()), flush=True)


def _measures(name: str, amount: float, folder: Path) -> Measures:
    worker = WORKERS[name]
    return {
        "floor": lambda: floor_rate(worker, int(amount), folder),
        "floor-split": lambda: floor_split(worker, int(amount), folder),
        "ours": lambda: our_rate(worker, int(amount), checked=True),
        "ours-unchecked": lambda: our_rate(worker, int(amount), checked=False),
        "ours-in-sequence": lambda: our_rate(worker, int(amount), checked=True, interleaved=False),
        "frontrun-reused": lambda: frontrun_rate(worker, amount, folder, reuse=True),
        "frontrun-spawned": lambda: frontrun_rate(worker, amount, folder, reuse=False),
    }


def _whole(name: str, amount: float, folder: Path) -> Measures:
    module: Any = import_module(f"benchmarks.{name}")
    return {
        "floor": lambda: module.floor_rate(int(amount), folder),
        "ours": lambda: module.our_rate(int(amount), checked=True),
        "ours-unchecked": lambda: module.our_rate(int(amount), checked=False),
        "ours-in-sequence": lambda: module.our_rate(int(amount), checked=True, interleaved=False),
    }


if __name__ == "__main__":
    main()
