"""Makes the tables and plots of `docs/benchmarks.md` from measurements.

    python -m benchmarks.plots [--power FILE] [--scaling FILE]

FILE is the output of `benchmarks.power --json` or `benchmarks.scaling --json`. The figures go to `docs/benchmarks/` as JSON
(of `power` only sums, without its thousands of searches), the plots beside them as SVG, and the tables between the marks in
`docs/benchmarks.md`. Without a FILE, the figures in `docs/benchmarks/` are drawn again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.power_table import baseline_cell, over_all, schedulers, sum_of
from benchmarks.svg import Line, Plot

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
FOLDER = DOCUMENT.with_suffix("")
TITLES = {
    "variants": "Faulty variants of the reference",
    "races": "Races of db_races",
    "twins": "Correct twins of db_races (every find is a wrong accusation)",
}
SHOWN_BASELINES = ("uncontrolled", "frontrun race", "frontrun twin", "frontrun-reused race", "frontrun-reused twin")


# -- power ---------------------------------------------------------------------------------------------------


def amounts(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sums of the searches: per scheduler and per case, and how many found their fault at each execution."""
    suites: dict[str, Any] = {}
    for suite, cases in data["cases"].items():
        names = schedulers(data, suite)
        suites[suite] = {
            "executions": data["budgets"][suite],
            "schedulers": {name: asdict(over_all(data, suite, name)) for name in names},
            "always": {name: _always(cases, name, data["budgets"][suite]) for name in names},
            "firsts": {name: _firsts(cases, name) for name in names},
            "cases": {
                case: {name: _short(asdict(sum_of(rows, data["budgets"][suite]))) for name, rows in found.items()}
                for case, found in cases.items()
            },
        }
    return {**{key: data[key] for key in ("version", "python", "sqlite", "baselines")}, "suites": suites}


def _always(cases: Mapping[str, Any], name: str, budget: int) -> int:
    """Return the number of cases in which every seed found the fault."""
    sums = [sum_of(case[name], budget) for case in cases.values() if name in case]
    return sum(each.made > 0 and each.found == each.made and not each.failed for each in sums)


def _firsts(cases: Mapping[str, Any], name: str) -> dict[str, int]:
    """Return, by the number of an execution, how many searches found the fault at it."""
    rows = [row for case in cases.values() for row in case.get(name, []) if isinstance(row, list)]
    return {str(first): times for first, times in sorted(Counter(row[0] for row in rows if row[0]).items())}


def _short(each: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in each.items() if value not in (None, 0) or key in ("made", "found")}


def found_within(suite: Mapping[str, Any]) -> Plot:
    """Return the plot of the share of searches that have found their fault, against the number of executions."""
    lines = []
    for name, firsts in suite["firsts"].items():
        made, sum_so_far, points = suite["schedulers"][name]["made"], 0, []
        for first, times in firsts.items():
            sum_so_far += times
            points.append((float(first), 100.0 * sum_so_far / made))
        if points:
            lines.append(Line(name, [*points, (float(suite["executions"]), points[-1][1])], stepped=True))
    return Plot("executions", "% of the searches that found it", lines, logarithmic=True, top=100.0)


def power_tables(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a table of the schedulers and a table of all cases, for each suite."""
    for suite, found in data["suites"].items():
        names = list(found["schedulers"])
        yield f"### {TITLES[suite]}"
        yield ""
        yield f"{len(found['cases'])} cases, at most {found['executions']:,} executions each."
        yield ""
        yield "| scheduler | searches | found | cases found with every seed | median executions | median seconds | cut |"
        yield "|---|---|---|---|---|---|---|"
        for name, each in found["schedulers"].items():
            share = f"{each['found'] / each['made']:.1%}" if each["made"] else ""
            row = (name, each["made"], share, found["always"][name], _figure(each["executions"]))
            yield "| " + " | ".join(map(str, (*row, _figure(each["seconds"], 3), each["cut"] or ""))) + " |"
        yield ""
        if suite != "twins":
            yield f"![Executions to the first failure, by scheduler](benchmarks/{suite}.svg)"
            yield ""
            yield from _cases(found["cases"], names, data["baselines"].get(suite, {}))


def _cases(cases: Mapping[str, Any], names: list[str], baselines: Mapping[str, Any]) -> Iterator[str]:
    others = [kind for kind in SHOWN_BASELINES if any(kind in found for found in baselines.values())]
    yield "<details><summary>Every case: median executions to the first failure (found/seeds where not all found it)</summary>"
    yield ""
    yield "| case | preemptions, faults | " + " | ".join((*names, *others)) + " |"
    yield "|---" * (2 + len(names) + len(others)) + "|"
    for case, found in cases.items():
        own = [_case_cell(found.get(name)) for name in names]
        theirs = [baseline_cell(baselines.get(case, {}).get(kind)) for kind in others]
        yield f"| {case} | {_least(found)} | " + " | ".join((*own, *theirs)) + " |"
    yield ""
    yield "</details>"
    yield ""


def _case_cell(each: Mapping[str, Any] | None) -> str:
    if each is None or not each["made"]:
        return "failed" if each else ""
    part = "" if each["found"] == each["made"] else f" ({each['found']}/{each['made']})"
    return f"{_figure(each.get('executions')) or '-'}{part}"


def _least(found: Mapping[str, Any]) -> str:
    """Return, as text, the smallest of the schedulers' median preemptions and faults; fewer faults count first."""
    pairs = [(each.get("faults", 0), each.get("preemptions", 0)) for each in found.values() if each["found"]]
    faults, preemptions = min(pairs, default=(0, 0))
    return f"{_figure(preemptions)}, {_figure(faults)}" if pairs else ""


def _figure(value: float | None, digits: int = 0) -> str:
    if value is None:
        return ""
    return f"{value:.{digits}f}" if digits else f"{value:g}"


# -- scaling -------------------------------------------------------------------------------------------------


def cost_against_workers(data: Mapping[str, Any], kind: str) -> Plot:
    """Return the plot of a step's cost against the workers, with a line for each number of tasks and steps."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for size in data["sizes"]:
        name = f"{size['library']}, {size['tasks']} x {size['steps']}"
        lines.setdefault(name, []).append((float(size["workers"]), median(size[kind])))
    label = "µs per step" + (" (processor time)" if kind == "processor" else "")
    return Plot("workers", label, [Line(name, sorted(points)) for name, points in lines.items()], logarithmic=True)


def scaling_tables(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the tables of microseconds per step, and the speed-up of two jobs."""
    workers = sorted({size["workers"] for size in data["sizes"]})
    for kind, said in (("clock", "the clock"), ("processor", "processor time")):
        yield f"Microseconds per step, by {said}:"
        yield ""
        yield "| library | tasks | steps | " + " | ".join(f"{each} workers" for each in workers) + " | growth |"
        yield "|---" * (4 + len(workers)) + "|"
        rows: dict[tuple[str, int, int], dict[int, float]] = {}
        for size in data["sizes"]:
            key = size["library"], size["tasks"], size["steps"]
            rows.setdefault(key, {})[size["workers"]] = median(size[kind])
        for (library, tasks, steps), row in rows.items():
            costs = " | ".join(f"{row[each]:.0f}" for each in workers)
            yield f"| {library} | {tasks} | {steps} | {costs} | {row[workers[-1]] / row[workers[0]]:.2f} |"
        yield ""
    yield "![Cost of a step against the number of workers](benchmarks/scaling.svg)"
    yield ""
    one, two = (data["jobs"][jobs] for jobs in ("1", "2"))
    ratio = median(after / before for before, after in zip(one, two, strict=True))
    yield f"Two explorations at once run {ratio:.2f} times as many executions per second as one."
    yield ""


# -- the document --------------------------------------------------------------------------------------------


def put(text: str, name: str, lines: Iterator[str]) -> str:
    """Return *text* with the part between the marks of that name replaced by *lines*."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n" + "\n".join(lines).strip() + f"\n\n{end}{after}"


def main() -> int:
    """Draw and write the plots and tables."""
    keep_lines = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m benchmarks.plots", description=__doc__, formatter_class=keep_lines)
    parser.add_argument("--power", type=Path, help="what benchmarks.power wrote")
    parser.add_argument("--scaling", type=Path, help="what benchmarks.scaling wrote")
    arguments = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    if arguments.power:
        _write_json(FOLDER / "power.json", amounts(json.loads(arguments.power.read_text())))
    if arguments.scaling:
        _write_json(FOLDER / "scaling.json", json.loads(arguments.scaling.read_text()))
    text = DOCUMENT.read_text()
    if (FOLDER / "power.json").exists():
        data = json.loads((FOLDER / "power.json").read_text())
        for suite in data["suites"]:
            if suite != "twins":
                (FOLDER / f"{suite}.svg").write_text(found_within(data["suites"][suite]).drawn())
        text = put(text, "power", power_tables(data))
    if (FOLDER / "scaling.json").exists():
        data = json.loads((FOLDER / "scaling.json").read_text())
        (FOLDER / "scaling.svg").write_text(cost_against_workers(data, "clock").drawn())
        text = put(text, "scaling", scaling_tables(data))
    DOCUMENT.write_text(text)
    return 0


def _write_json(file: Path, data: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(data, separators=(",", ":"), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
