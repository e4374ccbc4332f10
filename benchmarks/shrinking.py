"""Measures how Hypothesis finds and shrinks each faulty variant, in two representations of a schedule.

    python -m benchmarks.shrinking [--seeds N] [--most N] [--only WORD] [--way points|steps ...] [--json FILE]

`points` is the harness's own way (`harness/planned.py`): it draws the places of preemptions and faults before the execution.
`steps` draws one choice at each step, with 0 for going on with the same task. Both are compared with the minimum, which is
the counterexample of the exhaustive search after our own shrinker. `ours` is the number of executions that our shrinker takes
for the result of Hypothesis. Sizes are clients/calls/faults/preemptions. The last lines compare the time of an example with
that of a random execution.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from harness.control.hypothesis_search import Draws, explore_drawn
from harness.control.repeating.shrink import shrink
from harness.control.run import run
from harness.control.tally import Budget, Tally
from harness.control.testbed.testbed import Testbed, open_testbed
from harness.examples.drawing import planned, workloads_of
from harness.examples.testbeds import learn
from harness.result import Execution, fault_count
from harness.scenario import Scenario, Workload
from harness.schedulers.base import View
from harness.schedulers.random_walk import RandomWalk
from scenarios import ALL

Size = tuple[int, int, int, int]
_FAULT_ONE_IN = 8
_OVER = 200
"""Executions over which the time of one is measured."""


class ByStep:
    """Draws one choice for each step; a fault with a chance of one in eight, drawn as the largest value."""

    name = "steps"

    def __init__(self, draw: Callable[[st.SearchStrategy[int]], int], _: Scenario, __: Workload, ___: int) -> None:
        self._draw = draw

    def start(self, previous: Execution | None) -> bool:
        """Return True for the first execution only."""
        return previous is None

    def choose(self, view: View) -> str | None:
        """Draw one of the options, and return it."""
        tasks = [option.choice for option in view.options if not option.fault]
        faults = [option.choice for option in view.options if option.fault]
        if faults and (not tasks or self._number(_FAULT_ONE_IN) == _FAULT_ONE_IN - 1):
            return faults[self._number(len(faults))]
        return tasks[self._number(len(tasks))]

    def ahead(self, view: View) -> int:
        """Return for how many steps the task goes on: many where there is nothing to draw, else 0."""
        return 1_000 if len(view.options) == 1 and not view.faults_left else 0

    def _number(self, size: int) -> int:
        return self._draw(st.integers(0, size - 1)) if size > 1 else 0


WAYS: dict[str, Draws] = {"points": planned, "steps": ByStep}


def size(execution: Execution) -> Size:
    """Return the numbers to be minimised: clients, calls, faults, preemptions."""
    clients = execution.workload.clients
    calls = sum(len(client.calls) for client in clients)
    return len(clients), calls, fault_count(execution.steps), execution.preemptions


def search(stage: Testbed, scenario: Scenario, way: str, seed: int, most: int) -> dict[str, Any]:
    """Search once; return the executions to the first failure and to shrink it, and the sizes from Hypothesis and from us."""
    tally = Tally(scenario, Budget(most, None), lambda _: None)
    explore_drawn(stage.driver, scenario.workers, seed, tally=tally, make=WAYS[way])
    if tally.failed is None:
        return {"first": None, "bound": tally.bound}
    ours, tried = shrink(stage.driver, tally.failed)
    return {
        "first": tally.first_failure,
        "shrinking": tally.shrinking,
        "yields": size(tally.failed),
        "ours": tried,
        "ends": size(ours),
    }


def measure(scenario: Scenario, ways: list[str], seeds: int, most: int) -> dict[str, Any]:
    """Search one scenario in every way and with every seed; return the results and the minimum."""
    exhaustive = run(scenario, scheduler="exhaustive", max_executions=most).counterexample
    row: dict[str, Any] = {"minimum": size(exhaustive) if exhaustive else None, "ways": {}}
    with open_testbed(scenario, scenario.workers) as stage:
        for way in ways:
            row["ways"][way] = [search(stage, scenario, way, seed, most) for seed in range(seeds)]
    return row


def over(found: dict[str, Any], minimum: Size | None) -> bool:
    """Return whether the result of Hypothesis has more clients, calls, or faults plus preemptions than the minimum."""
    if minimum is None or found["first"] is None:
        return False
    clients, calls, faults, preemptions = found["yields"]
    return bool(clients > minimum[0] or calls > minimum[1] or faults + preemptions > minimum[2] + minimum[3])


def line_of(name: str, row: dict[str, Any]) -> str:
    """Return a row as text."""
    cells = [f"{name[:46]:46} {_text(row['minimum']):>8}"]
    for way, all_found in row["ways"].items():
        found = [one for one in all_found if one["first"] is not None]
        firsts = "/".join(str(one["first"] or "-") for one in all_found)
        shrinks = f"{median(one['shrinking'] for one in found):.0f}" if found else "-"
        ours = f"{median(one['ours'] for one in found):.0f}" if found else "-"
        yields = " ".join(sorted({_text(one["yields"]) for one in found}))
        cells.append(f"{way}: first {firsts}, shrunk in {shrinks} to {yields}, ours {ours}")
    return " | ".join(cells)


def _text(shape: Size | None) -> str:
    return "/".join(map(str, shape)) if shape else "none"


def summary_of(rows: dict[str, Any], ways: list[str]) -> Iterator[str]:
    """Yield the sums over all rows, a line for each way."""
    for way in ways:
        pairs = [(one, row["minimum"]) for row in rows.values() for one in row["ways"][way]]
        found = [one for one, _ in pairs if one["first"] is not None]
        if found:
            yield (
                f"{way}: found {len(found)} of {len(pairs)}; first failure after {median(f['first'] for f in found):.0f} "
                f"executions (median; mean {sum(f['first'] for f in found) / len(found):.0f}), shrunk in "
                f"{median(f['shrinking'] for f in found):.0f}; more than the minimum: {sum(over(*pair) for pair in pairs)}"
            )


def example_costs(names: list[str]) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield for each scenario the milliseconds of a random execution, and of an example drawn in each way."""
    for scenario in (scenario for scenario in ALL if scenario.name in names):
        with open_testbed(scenario, scenario.workers) as stage:
            found: dict[str, float] = {}
            walk = RandomWalk(0)
            began, previous = time.perf_counter(), None
            for _ in range(_OVER):
                walk.start(previous)
                previous = stage.driver.run(walk, scenario.workload(scenario.workers))
            found["random"] = (time.perf_counter() - began) / _OVER * 1_000
            for way, make in WAYS.items():
                found[way] = _example(stage, scenario, make)
            yield scenario.name, found


def _example(stage: Testbed, scenario: Scenario, make: Draws) -> float:
    workloads, steps = (
        workloads_of(scenario, scenario.workers),
        learn(stage.driver, scenario.workload(scenario.workers)),
    )
    count = 0

    @settings(
        max_examples=_OVER, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck), derandomize=True,
    )  # fmt: skip
    @given(st.data())
    def examples(data: st.DataObject) -> None:
        nonlocal count
        count += 1
        workload = data.draw(workloads)
        stage.driver.run(make(data.draw, scenario, workload, steps), workload)

    began = time.perf_counter()
    examples()
    return (time.perf_counter() - began) / count * 1_000


def main() -> None:
    """Measure, print a line for each variant, and write JSON on request."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="searches per variant and way (3)")
    parser.add_argument("--most", type=int, default=1_000, help="executions per search (1000)")
    parser.add_argument("--only", default="", help="variants whose name has this in it")
    parser.add_argument("--way", nargs="+", choices=WAYS, default=list(WAYS), help="representations (both)")
    parser.add_argument("--json", type=Path, help="write the same as JSON")
    arguments = parser.parse_args()
    settings.register_profile("forgetful", database=None)  # or a second search would begin with what a first one found
    settings.load_profile("forgetful")
    rows: dict[str, Any] = {}
    for scenario in ALL:
        for name, variant in scenario.variants.items():
            if scenario.name.endswith("-wal") or arguments.only not in f"{scenario.name} {name}":
                continue
            key = f"{scenario.name} {name}"
            rows[key] = measure(variant, arguments.way, arguments.seeds, arguments.most)
            print(line_of(key, rows[key]), flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps({"rows": rows}, indent=1))
    print("\n".join(summary_of(rows, arguments.way)))
    costs = dict(example_costs(["issue-token", "keyed-plain", "keyed-crashes"]))
    for name, found in costs.items():
        print(f"{name}: " + ", ".join(f"{way} {cost:.1f} ms" for way, cost in found.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows, "costs": costs}, indent=1))


if __name__ == "__main__":
    main()
