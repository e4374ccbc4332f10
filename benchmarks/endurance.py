"""Measures whether memory and open descriptors stay flat over very many executions, in the controller and all processes.

    python -m benchmarks.endurance [--executions N] [--after N] [--scenario NAME ...] [--json FILE]

The random walk explores each scenario. Resident memory and descriptors are read after `--after` executions and at the end.
Exit code 1 if any of them has grown by more than a twentieth.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from harness import registry
from harness.control.testbed.testbed import Testbed, open_testbed
from harness.result import Execution
from harness.schedulers.random_walk import RandomWalk

ALLOWED = 1.05
PATIENCE = 60.0
"""Seconds without a word until a worker counts as stuck: many, for the machine is busy."""
SCENARIOS = ("issue-token", "keyed-crashes", "add-agent-over-http")


def held(pid: int) -> dict[str, int]:
    """Return the resident memory of a process, in kilobytes, and its open descriptors."""
    status = Path(f"/proc/{pid}/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return {"memory": int(resident.split()[1]), "descriptors": len(os.listdir(f"/proc/{pid}/fd"))}


def everybody(stage: Testbed) -> dict[str, dict[str, int]]:
    """Return the memory and descriptors of the controller and of each process of the run."""
    gc.collect()
    pids = {"controller": os.getpid()}
    for worker, role in zip(stage.driver.worker_pool.workers, stage.driver.worker_pool.roles, strict=True):
        pids[f"{role} {worker.number}"] = worker.pid
    return {name: held(pid) for name, pid in pids.items()}


def measured(name: str, executions: int, after: int) -> dict[str, Any]:
    """Run *executions* of a scenario; return each process's memory and descriptors after *after* of them, and at the end."""
    scenario = registry.find(name)
    with open_testbed(scenario, scenario.workers, patience=PATIENCE) as stage:
        walk, previous, workload = RandomWalk(1), None, scenario.workload(scenario.workers)
        early: dict[str, dict[str, int]] = {}
        began = time.monotonic()
        for number in range(1, executions + 1):
            walk.start(previous)
            previous = stage.driver.run(walk, workload)
            assert _judged(previous), previous.failure or previous.stuck
            if number == after:
                early = everybody(stage)
        return {"early": early, "late": everybody(stage), "seconds": round(time.monotonic() - began, 1)}


def _judged(execution: Execution) -> bool:
    return execution.failure is None and not execution.stuck


def growth(found: dict[str, Any]) -> dict[str, float]:
    """Return the growth factor of memory and descriptors of each process; a replaced process counts as the same one."""
    return {
        f"{name} {what}": late[what] / found["early"][name][what]
        for name, late in found["late"].items()
        for what in ("memory", "descriptors")
    }


def main() -> int:
    """Measure, print, and return exit code 1 unless all is flat."""
    arguments = _parser().parse_args()
    document: dict[str, Any] = {
        "version": 1,
        "executions": arguments.executions,
        "after": arguments.after,
        "scenarios": {},
    }
    worst = 0.0
    for name in arguments.scenario:
        found = document["scenarios"][name] = measured(name, arguments.executions, arguments.after)
        factors = growth(found)
        worst = max(worst, *factors.values())
        print(f"{name}: {arguments.executions:,} executions in {found['seconds']} s", flush=True)
        for what, factor in factors.items():
            print(f"    {what:28} {factor:6.3f}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    return int(worst > ALLOWED)


def _parser() -> argparse.ArgumentParser:
    keep_lines = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=keep_lines)
    parser.add_argument("--executions", type=int, default=100_000, help="of each scenario (100,000)")
    parser.add_argument("--after", type=int, default=1_000, help="executions until the first look (1,000)")
    parser.add_argument("--scenario", nargs="+", default=SCENARIOS, metavar="NAME", help="which")
    parser.add_argument("--json", type=Path, help="write all of it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
