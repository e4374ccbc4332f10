"""The trace: events as Chrome's format and Perfetto want them."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from harness.reports.documents.perfetto import trace
from harness.reports.report import report_of
from harness.saved.counterexample import Counterexample
from tests.reports.made_up import CASES, blocked, explained, killed
from tests.reports.made_up_http import marked_up, over_http

MADE = {**CASES, "http": over_http, "marked up": lambda: marked_up()[0]}


def events(*made: Counterexample) -> list[dict[str, Any]]:
    """Return the events of the trace of *made*."""
    document = json.loads(trace([report_of(each) for each in made]))
    assert document["displayTimeUnit"] == "ms"
    found: list[dict[str, Any]] = document["traceEvents"]
    return found


@pytest.mark.parametrize("name", MADE)
def test_every_event_has_what_its_phase_needs(name: str) -> None:
    """Phases, times, tracks and scopes as the format says; every track that is used has a name."""
    found = events(MADE[name]())
    named = {(each["pid"], each["tid"]) for each in found if each["name"] == "thread_name"}
    for each in found:
        assert each["ph"] in "MXistf"
        assert each["pid"] > 0
        if each["ph"] == "M":
            continue
        assert each["ts"] >= 0
        if each["ph"] == "X":
            assert each["dur"] > 0
        if each["ph"] == "i":
            assert each["s"] in "tpg"
        else:
            assert (each["pid"], each["tid"]) in named


@pytest.mark.parametrize("name", MADE)
def test_slices_of_a_track_are_apart_or_one_inside_the_other(name: str) -> None:
    """Of two that only overlap, Perfetto would draw one cut short: a step within a wait is inside it."""
    tracks: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for each in events(MADE[name]()):
        if each["ph"] == "X":
            tracks[each["pid"], each["tid"]].append((each["ts"], each["ts"] + each["dur"]))
    for spans in tracks.values():
        for one, other in combinations(sorted(spans), 2):
            assert one[1] <= other[0] or other[1] <= one[1]


def test_waits_faults_and_the_violation_are_marked() -> None:
    """A wait is a slice, a kill an instant across its process, the violation one across everything."""
    waits = [each for each in events(blocked()) if each.get("cat") == "blocked"]
    assert [(each["ts"], each["dur"], each["name"]) for each in waits] == [
        (5_900, 2_100, "waits for a lock (went on)"),
        (10_900, 1_100, "waits for a lock (gave up)"),
    ]
    instants = [each for each in events(killed()) if each["ph"] == "i"]
    assert [(each["name"], each["s"], each["ts"]) for each in instants] == [
        ("kill SIGKILL", "p", 2_000),
        ("broken: OperationalError", "g", 4_900),
    ]


def test_the_race_window_and_messages_are_flows() -> None:
    """An arrow from one step to the next, each inside the slice of its step."""
    flows = [each for each in events(replace(blocked(), explanation=explained())) if each["ph"] in "stf"]
    assert [(each["ph"], each["ts"] // 1000, each["cat"]) for each in flows] == [
        ("s", 1, "window"),
        ("t", 6, "window"),
        ("f", 9, "window"),
    ]
    assert len({each["id"] for each in flows}) == 1
    letters = [each for each in events(over_http()) if each["ph"] in "sf"]
    assert [(each["ph"], each["ts"] // 1000) for each in letters[:4]] == [("s", 0), ("f", 1), ("s", 3), ("f", 6)]


def test_several_reports_share_no_track() -> None:
    """Each has processes, threads and flows of its own."""
    one, both = events(blocked()), events(blocked(), blocked())
    assert len(both) == 2 * len(one)
    halves = both[: len(one)], both[len(one) :]
    pids = [{each["pid"] for each in half} for half in halves]
    assert not pids[0] & pids[1]
    assert len({each["args"]["name"] for each in both if each["name"] == "process_name"}) == 4
