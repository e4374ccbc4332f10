"""What `benchmarks/power.py` makes of its searches: kept, gone on from, summed up, drawn."""

from __future__ import annotations

import json
import signal
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import plots, power_table
from benchmarks.db_races import RACES
from benchmarks.jobs import Failed, done
from benchmarks.power_record import Record
from benchmarks.races import scenario_of
from benchmarks.searching import MAKERS, SCHEDULERS, Found, search
from benchmarks.svg import Line, Plot, powers, steps
from harness.control.strategy_names import SCHEDULERS as OFFERED

EXECUTIONS = {"races": 10}


def found(first: int | None) -> Found:
    """Return a search that found something at that execution."""
    return Found(first, first or 10, 100, 0.5, 0.1, False, preemptions=1)


def recorded(file: Path | None = None) -> Record:
    """Return a record of two cases: one found with each of two seeds, one with the second only."""
    record = Record(file)
    record.begin(EXECUTIONS)
    for case, firsts in (("easy", (2, 4)), ("hard", (None, 8))):
        for seed, first in enumerate(firsts):
            record.add("races", case, "random", seed, found(first))
    return record


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    """A record goes on from its file; what failed or was cut sooner is searched again, other budgets are refused."""
    file = tmp_path / "power.json"
    record = recorded(file)
    record.add("races", "hard", "pct", 1, "killed")
    record.save()
    again = Record(file)
    again.begin(EXECUTIONS)
    assert again.has("races", "hard", "random", 1, 60.0)
    assert not again.has("races", "hard", "random", 2, 60.0)
    assert not again.has("races", "hard", "pct", 1, 60.0)
    again.add("races", "hard", "pos", 0, replace(found(None), executions=5))
    assert again.has("races", "hard", "pos", 0, 0.5)
    assert not again.has("races", "hard", "pos", 0, 60.0)
    with pytest.raises(ValueError, match="10"):
        Record(file).begin({"races": 20})


def test_a_miss_counts_as_more_than_any_budget() -> None:
    """The median over seeds is None where half of them found nothing."""
    data = recorded().data
    hard = power_table.sum_of(data["cases"]["races"]["hard"]["random"], 10)
    assert (hard.made, hard.found, hard.executions) == (2, 1, None)
    assert power_table.over_all(data, "races", "random").executions == 6
    assert power_table.missed(data, "races", "random") == ["hard"]
    assert any("(1/2)" in line for line in power_table.lines(data, "races"))


def test_a_twin_is_missed_when_it_is_accused() -> None:
    """Of twins, what was found with any seed is wrong."""
    rows = [[0, 10, 1.0, 0, 0, 0, 1], [3, 3, 1.0, 0, 0, 0, 0]]
    data: dict[str, Any] = {"budgets": {"twins": 10}, "cases": {"twins": {"a": {"random": rows}}}}
    assert power_table.missed(data, "twins", "random") == ["a"]


def test_a_plot_shows_the_share_found() -> None:
    """The curve ends at the share of searches that found their fault; the document keeps what is not between marks."""
    amounts = plots.amounts(json.loads(json.dumps(recorded().data)))
    plot = plots.found_within(amounts["suites"]["races"])
    assert plot.lines == [Line("random", [(2, 25), (4, 50), (8, 75), (10, 75)], stepped=True)]
    text = plots.put("a <!-- begin x -->old<!-- end x --> z", "x", iter(["new"]))
    assert text == "a <!-- begin x -->\n\nnew\n\n<!-- end x --> z"
    assert any("| easy |" in line for line in plots.power_tables(amounts))


def test_a_plot_is_well_formed() -> None:
    """Names are escaped, every line is drawn, and the axes have round numbers."""
    drawn = Plot("x & y", "<y>", [Line("a<b", [(1, 1), (16, 3)])], logarithmic=True).drawn()
    assert "a&lt;b" in drawn
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    assert steps(100) == [0, 20, 40, 60, 80, 100]
    assert (powers(1, 1000), powers(2, 16)) == ([1, 10, 100, 1000], [2, 4, 8, 16])


def _piece(number: int) -> int:
    if number == 2:
        raise ValueError("two")
    if number == 3:
        signal.pause()
    return number * 10


def test_work_is_done_in_processes_of_its_own() -> None:
    """Each piece gets its result; one that raises or takes too long gets the reason instead."""
    results = dict(done(_piece, (1, 2, 3, 4), jobs=2, cap=0.5))
    assert (results[1], results[4]) == (10, 40)
    assert results[2] == Failed("ValueError: two")
    assert results[3] == Failed("killed after 0.5 s")


def test_every_scheduler_is_measured() -> None:
    """What `harness run` offers is searched with, but for the one that only tests use."""
    assert {*SCHEDULERS, "brute"} == set(OFFERED)
    assert all(maker(0).name == name for name, maker in MAKERS.items())


@pytest.mark.slow
@pytest.mark.forks
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_search_ends_at_the_first_failure(scheduler: str) -> None:
    """Each scheduler finds a lost update, and says nothing of its twin within the budget."""
    lost_update = RACES[0]
    first = search(scenario_of(lost_update), scheduler, executions=50)
    assert first.first == first.executions <= 50
    assert "right" in first.failure
    twin = search(scenario_of(lost_update, correct=True), scheduler, executions=5)
    assert twin.first is None
    assert twin.complete or twin.executions == 5
