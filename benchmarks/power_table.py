"""Sums of the searches of `power.py`: per scheduler and per case, as numbers and as lines of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.power_record import was_cut

Row = list[Any]
_FIRST, _SECONDS, _PREEMPTIONS, _FAULTS = 0, 2, 3, 4


@dataclass(frozen=True)
class Sum:
    """Sums of the searches of one case or many: how many were made, found a fault, failed, or were cut; and medians.

    In the median `executions`, a search that found nothing counts as infinitely many executions, and the median is None where
    half of the searches found nothing. The other medians are over the searches that found a fault.
    """

    made: int
    found: int
    failed: int
    cut: int
    executions: float | None
    seconds: float | None
    preemptions: float | None
    faults: float | None


def sum_of(rows: Row, budget: int) -> Sum:
    """Return the sums of these searches, each of at most *budget* executions."""
    made = [row for row in rows if isinstance(row, list)]
    found = [row for row in made if row[_FIRST]]
    failed = sum(isinstance(row, str) for row in rows)
    cut = sum(was_cut(row, budget) for row in made)
    if not found:
        return Sum(len(made), 0, failed, cut, None, None, None, None)
    all_of_them = median(row[_FIRST] or float("inf") for row in made)
    executions = None if all_of_them == float("inf") else all_of_them
    seconds, preemptions, faults = (
        median(row[column] for row in found) for column in (_SECONDS, _PREEMPTIONS, _FAULTS)
    )
    return Sum(len(made), len(found), failed, cut, executions, seconds, preemptions, faults)


def schedulers(data: Mapping[str, Any], suite: str) -> list[str]:
    """Return the schedulers that were tried, in the order of their trials."""
    return list(dict.fromkeys(name for case in data["cases"].get(suite, {}).values() for name in case))


def over_all(data: Mapping[str, Any], suite: str, scheduler: str) -> Sum:
    """Return the sums of all searches of a suite with one scheduler."""
    rows = [row for case in data["cases"][suite].values() for row in case.get(scheduler, [])]
    return sum_of(rows, data["budgets"][suite])


def missed(data: Mapping[str, Any], suite: str, scheduler: str) -> list[str]:
    """Return the cases that the scheduler did not find with every seed, or the twins that it accused with any seed."""
    wrong: list[str] = []
    for name, case in data["cases"].get(suite, {}).items():
        each = sum_of(case.get(scheduler, []), data["budgets"][suite])
        if each.failed or (each.found if suite == "twins" else each.found < each.made):
            wrong.append(name)
    return wrong


def lines(data: Mapping[str, Any], suite: str) -> Iterator[str]:
    """Yield the lines of two tables: per scheduler over all cases, and per case the median executions, with misses."""
    names = schedulers(data, suite)
    if not names:
        return
    budget = data["budgets"][suite]
    cases = data["cases"][suite]
    yield f"{suite}: {len(cases)} cases, at most {budget} executions each"
    yield ""
    yield f"{'scheduler':12} searches   found in all seeds  median  seconds failed   cut"
    for name in names:
        whole = over_all(data, suite, name)
        always = len([case for case in cases.values() if name in case]) - len(missed(data, suite, name))
        share = f"{whole.found / whole.made:.1%}" if whole.made else ""
        yield (
            f"{name:12} {whole.made:8} {share:>7} {always:12} {_number(whole.executions):>7}"
            f" {_number(whole.seconds, 3):>8} {whole.failed:6} {whole.cut:5}"
        )
    yield ""
    width = max(len(name) for name in cases)
    yield f"{'':{width}} " + " ".join(f"{name:>14}" for name in names)
    for case, found in cases.items():
        yield f"{case:{width}} " + " ".join(f"{_cell(sum_of(found.get(name, []), budget)):>14}" for name in names)
    yield ""
    yield "median executions to the first failure; (n/m) where only n of m seeds found it; cut: time was up before executions"
    yield ""
    yield from _baseline_lines(data.get("baselines", {}).get(suite, {}))


def _baseline_lines(baselines: Mapping[str, Any]) -> Iterator[str]:
    """Yield the table of the baselines, a line for each case."""
    if not baselines:
        return
    width = max(len(name) for name in baselines)
    columns = ("uncontrolled", "frontrun race", "frontrun twin", "frontrun-reused race", "frontrun-reused twin")
    yield f"{'':{width}} " + " ".join(f"{name:>22}" for name in columns)
    for case, found in baselines.items():
        yield f"{case:{width}} " + " ".join(f"{baseline_cell(found.get(name)):>22}" for name in columns)
    yield ""
    yield "uncontrolled: rounds that broke the rule, of how many; frontrun: its answer, after how many executions"
    yield ""


def baseline_cell(found: Mapping[str, Any] | None) -> str:
    """Return a baseline in few words, or an empty text where there is none."""
    if found is None:
        return ""
    if "error" in found:
        return "failed"
    if "rounds" in found:
        return f"{found['broken']} of {found['rounds']}"
    kind = f" {found['kind']}" if found.get("kind") not in (None, "invariant") else ""
    return f"{found['answer']}{kind} {found['executions']}"


def _cell(each: Sum) -> str:
    if not each.made:
        return "failed" if each.failed else ""
    found = "" if each.found == each.made else f" ({each.found}/{each.made})"
    return f"{_number(each.executions) or '-'}{found}"


def _number(value: float | None, digits: int = 0) -> str:
    if value is None:
        return ""
    return f"{value:.{digits}f}" if digits else f"{value:g}"
