"""A cluster of this machine's processes against one process: outcomes found, speed, and costs of an execution.

    python -m benchmarks.cluster [--scenario NAME] [--nodes N ...] [--rounds N] [--executions N] [--rates] [--json FILE]

First, unless `--rates` is given, the whole tree of `--scenario` with at most one fault is searched, by one process and by
clusters of 1, 2 and 4 dask workers (`--nodes`): all must find the same set of outcomes. Then the first `--executions` of the
tree are searched, `--rounds` times in turns, to measure executions per second and the costs of one execution: processor time
of the dealing process, of dask's scheduler, of its workers, and of the explorers with all that they start; executions in a
batch; bytes of payload up and down; bytes and packets over the loopback device, which counts every hop and all other users.
A dask worker has one thread here, so it has one explorer. Exit code 1 if outcomes differ or the goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.goals import TWO_JOBS
from harness import registry
from harness.cluster.connecting import Cluster, connected
from harness.cluster.node import Batch
from harness.cluster.spread import Spread, spread
from harness.control.sharding.explorer import Setting
from harness.control.sharding.together import Place, explore_together
from harness.control.tally import Budget, Tally
from harness.control.testbed.testbed import open_testbed
from harness.project import config
from harness.project.config import fix_hash_seed
from harness.result import Execution
from harness.scenario import Scenario
from harness.schedulers.dealing import dealer_of
from harness.schedulers.tree.exhaustive import Exhaustive

NODES = (1, 2, 4)
QUIET = {
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__MONITOR_INTERVAL": "1s",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "500ms",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "5s",
}
"""What has dask's processes look after themselves less often, as `docs/cluster.md` has it."""
NAME = "keyed-anything"
PATIENCE = 60.0
_STARTING = 60.0
_WHOLE = 1_000_000


class Found(NamedTuple):
    """The result of a search."""

    executions: int
    complete: bool
    outcomes: frozenset[str]
    seconds: float
    costs: dict[str, float]
    """By name, per execution."""


def scenario(name: str) -> Scenario:
    """Return the scenario of that name, limited to one fault."""
    found = registry.find(name)
    return replace(found, faults=replace(found.faults, most=1)) if found.faults.most else found


def alone(name: str, most: int, outcomes: bool) -> Found:
    """Search in one process, without dealing."""
    raced, chosen = scenario(name), Exhaustive()
    with open_testbed(raced, raced.workers, patience=PATIENCE) as stage:
        stage.driver.wants_outcomes = outcomes
        workload, seen, previous = raced.workload(raced.workers), set[str](), None
        executions, began = 0, time.perf_counter()
        while executions < most and chosen.start(previous):
            previous = stage.driver.run(chosen, workload)
            _check(previous)
            seen.add(previous.outcome)
            executions += 1
        return Found(executions, chosen.complete, frozenset(seen), time.perf_counter() - began, {})


def spread_out(name: str, address: str, pids: dict[str, list[int]], most: int, outcomes: bool) -> Found:
    """Search on the cluster at *address*, and measure its processes, the *pids* of each role."""
    raced = scenario(name)
    setting = Setting(raced, raced.workers, patience=PATIENCE, outcomes=outcomes)
    tally = Counting(raced, Budget(most, None), lambda _: None)
    dealer = dealer_of(Exhaustive(), None)
    batches: list[int] = []
    with measuring(batches) as sizes, spread(Place(address, name), 0, setting) as executor:
        before = _readings(pids)
        began = time.perf_counter()
        explore_together(_opened(executor), dealer, tally)
        seconds = time.perf_counter() - began
        used = {what: value - before[what] for what, value in _readings(pids).items()}
    costs = {what: value / tally.executions for what, value in used.items()}
    costs.update(
        {name: value / tally.executions for name, value in sizes.items()}, batch=tally.executions / len(batches)
    )
    complete = dealer.report().complete
    return Found(tally.executions, complete, frozenset(tally.seen_outcomes), seconds, costs)


class Counting(Tally):
    """A tally that keeps the outcomes themselves."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.seen_outcomes: set[str] = set()

    def count(self, execution: Execution) -> None:
        """Count *execution* and keep its outcome; raise ``RuntimeError`` where it failed or was stuck."""
        _check(execution)
        self.seen_outcomes.add(execution.outcome)
        super().count(execution)


def _check(execution: Execution) -> None:
    if execution.failure is not None or execution.stuck:
        raise RuntimeError(f"the scenario was to be valid: {execution.failure or execution.stuck}")


@contextmanager
def _opened(executor: Spread) -> Iterator[Spread]:
    yield executor


@contextmanager
def measuring(batches: list[int]) -> Iterator[dict[str, float]]:
    """Count the bytes that are sent and received while the context lasts; append the size of each batch to *batches*."""
    sizes = {"bytes up": 0.0, "bytes down": 0.0}
    call, take = Cluster.call, Spread._take

    def counted(self: Cluster, function: Any, *arguments: Any, **where: Any) -> Any:
        sizes["bytes up"] += sum(len(each) for each in arguments)
        return call(self, function, *arguments, **where)

    def taken(self: Spread, batch: Batch, tasks: list[Any]) -> None:
        sizes["bytes down"] += len(batch.answer.data)
        batches.append(batch.answer.executions)
        take(self, batch, tasks)

    Cluster.call, Spread._take = counted, taken  # type: ignore[method-assign]
    try:
        yield sizes
    finally:
        Cluster.call, Spread._take = call, take  # type: ignore[method-assign]


# -- processes -----------------------------------------------------------------------------------------------


def _dask(role: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-W", "ignore", "-m", f"distributed.cli.dask_{role}", *arguments, "--no-dashboard"]
    environment = {**config.child_environment(), **QUIET}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextmanager
def cluster(nodes: int) -> Iterator[tuple[str, dict[str, list[int]]]]:
    """Start a scheduler and *nodes* workers of one thread each; yield its address and the processes of each role."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "scheduler.json")
        scheduler = _dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
        started = [scheduler]
        try:
            _until(lambda: file.exists() and file.read_text().endswith("}"))
            address = json.loads(file.read_text())["address"]
            options = ("--nthreads", "1", "--no-nanny", "--local-directory", folder)
            started += [_dask("worker", address, *options) for _ in range(nodes)]
            _until(lambda: _number(address) == nodes)
            roles = {"scheduler": [scheduler.pid], "nodes": [each.pid for each in started[1:]], "dealer": [os.getpid()]}
            yield address, roles
        finally:
            for process in started[::-1]:
                process.kill()
                process.wait()


def _number(address: str) -> int:
    from harness.errors import BadInput

    try:
        with connected(address) as them:
            return len(them.nodes())
    except BadInput:
        return 0


def _until(holds: Any) -> None:
    deadline = time.monotonic() + _STARTING
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError("the cluster did not start in time")
        time.sleep(0.05)


def _readings(pids: dict[str, list[int]]) -> dict[str, float]:
    """Return the milliseconds of processor time of each role, and the bytes and packets over the loopback device."""
    found = {f"{role} ms": sum(map(_milliseconds, each)) for role, each in pids.items()}
    found["explorers ms"] = sum(_milliseconds(pid, ended=True) for pid in _descendants(pids["nodes"]))
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == "lo":
            found["bytes on the wire"], found["packets"] = (float(each) for each in numbers.split()[:2])
    return found


def _milliseconds(pid: int, ended: bool = False) -> float:
    """Return the milliseconds of processor time of a process; with *ended*, also those of children that have ended."""
    used = _stat(pid)[11 : 15 if ended else 13]
    return 1000.0 * sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


def _descendants(pids: Sequence[int]) -> list[int]:
    """Return all descendants of these processes."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found = [child for pid in pids for child in children.get(pid, [])]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


# -- the table -----------------------------------------------------------------------------------------------


def whole(name: str, nodes: Sequence[int]) -> dict[str, Found]:
    """Search the whole tree, by one process and by each cluster."""
    found = {"one process": alone(name, _WHOLE, True)}
    for number in nodes:
        with cluster(number) as (address, pids):
            found[f"{number} nodes"] = spread_out(name, address, pids, _WHOLE, True)
    return found


def rates(name: str, nodes: Sequence[int], rounds: int, executions: int) -> dict[str, list[Found]]:
    """Search the beginning of the tree, by one process and by each cluster in turns."""
    found: dict[str, list[Found]] = {"one process": [], **{f"{number} nodes": [] for number in nodes}}
    for _ in range(rounds):
        found["one process"].append(alone(name, executions, False))
        for number in nodes:
            with cluster(number) as (address, pids):
                found[f"{number} nodes"].append(spread_out(name, address, pids, executions, False))
    return found


def rate(found: Found) -> float:
    """Return the executions per second of a search."""
    return found.executions / found.seconds


def main() -> int:
    """Measure, print, save, and return the exit code."""
    fix_hash_seed()
    options = _parser().parse_args()
    all_of_it = {} if options.rates else whole(options.scenario, options.nodes)
    wanted = all_of_it["one process"].outcomes if all_of_it else frozenset()
    for name, each in all_of_it.items():
        same = "the same outcomes" if each.outcomes == wanted else "OTHER OUTCOMES"
        print(
            f"{name:12} {each.executions:6} executions, complete: {each.complete}, {len(each.outcomes)} outcomes, "
            f"{same}, {rate(each):.0f}/s",
            flush=True,
        )
    found = rates(options.scenario, options.nodes, options.rounds, options.executions)
    for name, rounds in found.items():
        print(f"{name:12} executions/s: {', '.join(f'{rate(each):.0f}' for each in rounds)}")
        for cost in rounds[0].costs:
            print(f"    {cost:18} {median(each.costs[cost] for each in rounds):9.2f} per execution (batch: executions)")
    ratios = [rate(two) / rate(one) for one, two in zip(found["1 nodes"], found["2 nodes"], strict=True)]
    print(f"2 nodes against 1: {', '.join(f'{each:.2f}' for each in ratios)}: {median(ratios):.2f} (goal {TWO_JOBS})")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(document(all_of_it, found, ratios)) + "\n")
    sound = all(each.complete and each.outcomes == wanted for each in all_of_it.values())
    return 0 if sound and median(ratios) >= TWO_JOBS else 1


def document(all_of_it: dict[str, Found], found: dict[str, list[Found]], ratios: list[float]) -> dict[str, Any]:
    """Return all results as JSON data."""
    return {
        "version": 1,
        "whole": {
            name: {"executions": each.executions, "complete": each.complete, "outcomes": len(each.outcomes)}
            for name, each in all_of_it.items()
        },
        "rates": {name: [round(rate(each), 1) for each in rounds] for name, rounds in found.items()},
        "costs": {
            name: {cost: round(median(each.costs[cost] for each in rounds), 3) for cost in rounds[0].costs}
            for name, rounds in found.items()
        },
        "two_to_one": [round(each, 3) for each in ratios],
    }


def _parser() -> argparse.ArgumentParser:
    keep_lines = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m benchmarks.cluster", description=__doc__, formatter_class=keep_lines)
    parser.add_argument("--scenario", default=NAME, metavar="NAME", help=f"one of `harness list` ({NAME})")
    parser.add_argument("--nodes", type=int, nargs="+", default=NODES, help="dask workers, 1 and 2 among them (1 2 4)")
    parser.add_argument("--rounds", type=int, default=5, help="how often speed is measured (5)")
    parser.add_argument("--executions", type=int, default=1000, help="each time (1000)")
    parser.add_argument("--rates", action="store_true", help="leave the whole tree out")
    parser.add_argument("--json", type=Path, help="write the same as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
