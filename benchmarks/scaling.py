"""Measures the cost of a step with more workers, tasks and steps, and the speed-up of two explorations at once.

    python -m benchmarks.scaling [--workers N ...] [--tasks N ...] [--steps N ...] [--rounds N] [--seconds N] [--json FILE]

It prints tables, and writes JSON on request. The programs are synthetic, on `sqlite3` (a task per worker) and on `aiosqlite`
(several): each task makes `--steps` statements, every fifth a write to a row of its own, the others reads, in autocommit over
a write-ahead log, so that no task waits for a lock. The scheduler is `random`. Sizes are measured in turns, `--rounds` times
over, and medians are shown: microseconds per step, by the clock and by the processor time of controller and workers, which
other work on the machine disturbs less. The speed-up is that of the token issue of `throughput.py`, explored by one process
and by two at once. Exit code 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import aiosqlite

from benchmarks import tokens
from benchmarks.goals import GROWTH_TO_SIXTEEN, TWO_JOBS
from benchmarks.jobs import Failed, done
from harness.control.testbed.testbed import open_testbed
from harness.project.config import fix_hash_seed
from harness.scenario import Call, Check, Client, Scenario, Workload
from harness.schedulers.random_walk import RandomWalk

WORKERS, TASKS, STEPS = (2, 4, 8, 16), (1, 2, 4, 8), (5, 20, 50, 200)
USUAL_STEPS = 20
ROWS = 256
_LONGEST = 1_000_000
_STARTING = 120.0


class Size(NamedTuple):
    """A size to measure: `steps` is the number of steps of each task besides its first and last."""

    library: str
    workers: int
    tasks: int
    steps: int

    def __str__(self) -> str:
        return f"{self.library} {self.workers} x {self.tasks} x {self.steps}"


class Cost(NamedTuple):
    """The time that a number of executions took."""

    executions: int
    steps: int
    seconds: float
    processor: float
    """Seconds that the controller and the workers ran: what a busy machine does not change much."""

    def microseconds(self, kind: str) -> float:
        """Return the microseconds per step, of that kind of time."""
        return (self.seconds if kind == "clock" else self.processor) / self.steps * 1e6


Costs = dict[Size, list[Cost]]
KINDS = {"clock": "the clock", "processor": "processor time"}


def set_up(db: Path) -> None:
    """Make a database with a row for each task."""
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)")
        connection.executemany("INSERT INTO row VALUES (?, 0)", ((number,) for number in range(ROWS)))


def statements(steps: int) -> Iterator[str]:
    """Yield *steps* statements: four reads, a write, and so on."""
    for number in range(steps):
        yield "UPDATE row SET n = n + 1 WHERE id = ?" if number % 5 == 4 else "SELECT n FROM row WHERE id = ?"


def sync_task(db: Path, own: int, steps: int) -> None:
    """Run the statements on `sqlite3`."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        for sql in statements(steps):
            connection.execute(sql, (own,)).fetchall()


async def async_task(db: Path, own: int, steps: int) -> None:
    """Run the statements on `aiosqlite`."""
    async with aiosqlite.connect(db, isolation_level=None) as connection:
        for sql in statements(steps):
            await connection.execute_fetchall(sql, (own,))


def scenario_of(size: Size) -> Scenario:
    """Return the synthetic program of that size."""
    operation: Callable[..., Any] = sync_task if size.library == "sqlite3" else async_task
    return Scenario(
        name="scaling",
        setup=set_up,
        operations={"work": operation},
        workload=partial(workload, size),
        workers=size.workers,
        ordered=False,
        steps=_LONGEST,
    )


def workload(size: Size, workers: int) -> Workload:
    """Return one client per task, each with a row of its own."""
    same = Workload.each("work", workers=workers, tasks=size.tasks)
    calls = [Call("work", (own, size.steps), client.calls[0].worker) for own, client in enumerate(same.clients)]
    return Workload(tuple(Client((call,)) for call in calls), workers)


def cost(scenario: Scenario, seconds: float, *, least: int = 2) -> Cost:
    """Measure executions under the random walk for *seconds*, at least *least*, after one that does not count."""
    with open_testbed(scenario, scenario.workers, patience=60.0) as stage:
        scheduler, work = RandomWalk(1), scenario.workload(scenario.workers)
        scheduler.start(None)
        execution = stage.driver.run(scheduler, work)
        executions, steps = 0, 0
        pids = [os.getpid(), *(worker.pid for worker in stage.driver.worker_pool.workers if worker.pid)]
        began, used = time.perf_counter(), ran(pids)
        while executions < least or time.perf_counter() - began < seconds:
            scheduler.start(execution)
            execution = stage.driver.run(scheduler, work)
            assert execution.failure is None, execution.failure
            assert not execution.stuck, execution.stuck
            executions, steps = executions + 1, steps + len(execution.steps)
        return Cost(executions, steps, time.perf_counter() - began, ran(pids) - used)


def ran(pids: Sequence[int]) -> float:
    """Return the processor time of these processes so far, in seconds, in user and system mode."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def sizes(workers: Sequence[int], tasks: Sequence[int], steps: Sequence[int]) -> list[Size]:
    """Return the sizes: `sqlite3` with one task per worker and every number of steps; `aiosqlite` with the usual number."""
    usual = min(steps, key=lambda number: abs(number - USUAL_STEPS))
    found = [Size("sqlite3", each, 1, number) for number in steps for each in workers]
    found += [Size("aiosqlite", each, number, usual) for number in tasks for each in workers]
    return found


def issuing() -> Scenario:
    """Return the token issue of which `throughput.py` measures the speed."""
    return Scenario(
        name="issue",
        setup=tokens.set_up,
        operations={"issue": tokens.issue_sqlite3},
        workload=lambda workers: Workload.each("issue", workers=workers),
        at_end=(Check("one token", tokens.one_active_token),),
        ordered=False,
    )


def jobs_rate(jobs: int, seconds: float) -> float:
    """Return the executions per second of *jobs* independent explorations at once, added up."""
    started = list(done(lambda _: cost(issuing(), seconds), range(jobs), jobs=jobs, cap=seconds + _STARTING))
    rates = []
    for _, result in started:
        if isinstance(result, Failed):
            raise RuntimeError(result.why)
        rates.append(result.executions / result.seconds)
    return sum(rates)


# -- the table -----------------------------------------------------------------------------------------------


def growth(costs: Costs, kind: str) -> dict[str, float]:
    """Return, for each row of the table, the ratio of a step's cost with the most workers to that with the fewest."""
    found: dict[str, float] = {}
    for library, tasks, steps in dict.fromkeys((size.library, size.tasks, size.steps) for size in costs):
        row = [size for size in costs if (size.library, size.tasks, size.steps) == (library, tasks, steps)]
        low, high = min(row, key=lambda size: size.workers), max(row, key=lambda size: size.workers)
        found[f"{library} {tasks} x {steps}"] = usual(costs[high], kind) / usual(costs[low], kind)
    return found


def usual(measured: Sequence[Cost], kind: str) -> float:
    """Return the median of the microseconds per step, of that kind of time."""
    return median(each.microseconds(kind) for each in measured)


def lines(costs: Costs, kind: str) -> Iterator[str]:
    """Yield the table of microseconds per step, with a line for each number of tasks and steps."""
    workers = sorted({size.workers for size in costs})
    yield f"microseconds per step, by {KINDS[kind]}"
    yield f"{'library':10} {'tasks':>5} {'steps':>5} " + " ".join(f"{each:>4} workers" for each in workers) + "  growth"
    for name, times in growth(costs, kind).items():
        library, tasks, _, steps = name.split()
        row = [usual(costs[Size(library, each, int(tasks), int(steps))], kind) for each in workers]
        yield f"{library:10} {tasks:>5} {steps:>5} " + " ".join(f"{each:12.1f}" for each in row) + f"  {times:6.2f}"
    yield ""


def main() -> int:
    """Measure in turns, print, save, and return the exit code."""
    fix_hash_seed()
    arguments = _parser().parse_args()
    chosen = sizes(arguments.workers, arguments.tasks, arguments.steps)
    costs: Costs = {size: [] for size in chosen}
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(arguments.rounds):
        work = partial(_measure, arguments.seconds)
        for size, result in done(work, chosen, jobs=1, cap=arguments.seconds + _STARTING):
            if isinstance(result, Failed):
                raise RuntimeError(f"{size}: {result.why}")
            costs[size].append(result)
        for jobs in rates:
            rates[jobs].append(jobs_rate(jobs, arguments.seconds))
    for kind in KINDS:
        print("\n".join(lines(costs, kind)))
    worst = max(growth(costs, "clock").values())
    ratio = median(two / one for one, two in zip(rates[1], rates[2], strict=True))
    print(f"growth at most {worst:.2f} (goal {GROWTH_TO_SIXTEEN})")
    print(
        f"executions/s: {median(rates[1]):.0f} with one job, {median(rates[2]):.0f} with two: {ratio:.2f} (goal {TWO_JOBS})"
    )
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(document(costs, rates, arguments), separators=(",", ":")) + "\n")
    return 0 if worst <= GROWTH_TO_SIXTEEN and ratio >= TWO_JOBS else 1


def _measure(seconds: float, size: Size) -> Cost:
    return cost(scenario_of(size), seconds)


def document(costs: Costs, rates: dict[int, list[float]], options: Any) -> dict[str, Any]:
    """Return all results as JSON data."""
    return {
        "version": 1,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "sizes": [
            {
                **size._asdict(),
                **{kind: [round(each.microseconds(kind), 2) for each in measured] for kind in KINDS},
            }
            for size, measured in costs.items()
        ],
        "growth": {kind: {name: round(times, 3) for name, times in growth(costs, kind).items()} for kind in KINDS},
        "jobs": {str(jobs): [round(rate, 1) for rate in each] for jobs, each in rates.items()},
    }


def _parser() -> argparse.ArgumentParser:
    keep_lines = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m benchmarks.scaling", description=__doc__, formatter_class=keep_lines)
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS, help="how many (2 4 8 16)")
    parser.add_argument("--tasks", type=int, nargs="+", default=TASKS, help="in each worker, aiosqlite (1 2 4 8)")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS, help="of each task, sqlite3 (5 20 50 200)")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured (5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="per measurement (1)")
    parser.add_argument("--json", type=Path, help="write the same as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
