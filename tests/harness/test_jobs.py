"""Several jobs find what one finds, whatever the timing; and one that ends before its time is no pass."""

from __future__ import annotations

import os
import pickle
import re
import signal
import subprocess
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable
from pathlib import Path

import multiprocess
import pytest

from harness.control.run import run
from harness.control.sharding.parcels import Ran, packed, unpacked
from harness.control.sharding.together import _Table
from harness.control.tally import Budget, Progress, Tally
from harness.control.testbed.pinning import _claim
from harness.control.testbed.testbed import Testbed, open_testbed
from harness.errors import BadInput, SetupFailed
from harness.faults import NONE, Faults
from harness.project import config
from harness.result import Execution
from harness.scenario import Check, Scenario, Workload
from harness.schedulers.base import Scheduler
from harness.schedulers.dealing import dealer_of
from harness.schedulers.pct import PCT
from harness.schedulers.portfolio import Portfolio
from harness.schedulers.pos import POS
from harness.schedulers.random_walk import RandomWalk
from harness.schedulers.tree.branches import Branch, Excursion
from harness.schedulers.tree.exhaustive import Exhaustive
from harness.verdict import Verdict
from tests.harness.counter import counts_to, outcomes, raced
from tests.harness.sync_programs import autocommit, autocommit_in_one, deferred_upgrade, implicit_transaction
from tests.harness.test_controller_killed import directories, in_time, processes

pytestmark = [pytest.mark.forks, pytest.mark.slow]

KILL = Faults(kill=True, most=1)


def alone(stage: Testbed, scheduler: Scheduler, most: int = 2_000) -> list[Execution]:
    """Return the executions that *scheduler* asks for, one after the other."""
    workload = stage.driver.scenario.workload(2)
    found: list[Execution] = []
    while len(found) < most and scheduler.start(found[-1] if found else None):
        found.append(stage.driver.run(scheduler, workload))
    return found


def dealt(
    stage: Testbed, scheduler: Scheduler, at_once: int, preemptions: int | None = None, most: int = 2_000, far: int = 0
) -> tuple[list[Execution], bool]:
    """Return the executions of *scheduler*, and whether it is complete, with so many dealt before the first is learnt from.

    With *far* it is so many if those beyond *at_once* lose nothing by it. They are run here, one by one, as what an explorer
    would be sent and would send.
    """
    workload = stage.driver.scenario.workload(2)
    dealer = dealer_of(scheduler, preemptions)
    away: deque[tuple[object, bytes]] = deque()
    found: list[Execution] = []
    while True:
        while len(away) < (far or at_once) and len(found) + len(away) < most:
            if (deal := dealer.deal(early=len(away) >= at_once)) is None:
                break
            away.append((deal, pickle.dumps(deal.task)))
        if not away:
            return found, dealer.report().complete
        deal, data = away.popleft()  # type: ignore[assignment]
        task: Branch | Scheduler = pickle.loads(data)
        chooses = Excursion(task) if isinstance(task, Branch) else task
        execution = stage.driver.run(chooses, workload)
        findings = chooses.findings(execution) if isinstance(chooses, Excursion) else None
        ((execution, findings),) = unpacked(packed([Ran(execution, findings)]), workload)
        assert not execution.stuck
        found.append(execution)
        assert deal is not None
        dealer.learn(deal, execution, findings)


def schedules(executions: list[Execution]) -> list[str]:
    """Return the schedules of *executions* as text."""
    return [str(execution.schedule) for execution in executions]


@pytest.mark.parametrize(
    ("program", "faults", "mode"),
    [
        (deferred_upgrade, NONE, "delete"),
        (deferred_upgrade, NONE, "wal"),
        (autocommit, KILL, "delete"),
        (deferred_upgrade, Faults(errors=("busy",), most=1), "wal"),
    ],
    ids=["quiet", "quiet-wal", "kill", "busy"],
)
def test_branches_walked_at_once_lose_no_outcome(program: Callable[[Path], None], faults: Faults, mode: str) -> None:
    """However many are away, the outcomes are those of trying everything, and the search says that it is complete."""
    scenario = raced(program, mode, raising_fails=False, faults=faults)
    with open_testbed(scenario, 2) as stage:
        stage.driver.wants_outcomes = True
        one = alone(stage, Exhaustive())
        everything = outcomes(alone(stage, Exhaustive(reduction=False))) if not faults.most else outcomes(one)
        for at_once, far in ((3, 0), (16, 0), (3, 48)):
            found, complete = dealt(stage, Exhaustive(), at_once, far=far)
            assert (outcomes(found), complete) == (everything, True)
            assert len(found) <= len(one) * 1.5 + at_once


@pytest.mark.parametrize("preemptions", [None, 1])
def test_dealt_one_at_a_time_it_is_the_same_search(preemptions: int | None) -> None:
    """Execution for execution, with the reduction and under a bound: what is learnt of a branch is all there is to learn."""
    with open_testbed(raced(autocommit, faults=KILL), 2) as stage:
        one = alone(stage, Exhaustive(preemptions=preemptions))
        assert schedules(dealt(stage, Exhaustive(preemptions=preemptions), 1, preemptions)[0]) == schedules(one)


def test_a_bounded_search_loses_no_outcome_either() -> None:
    """With six branches away at once, under a bound on preemptions."""
    with open_testbed(raced(autocommit_in_one, faults=KILL), 2) as stage:
        stage.driver.wants_outcomes = True
        one = alone(stage, Exhaustive(preemptions=1))
        found, complete = dealt(stage, Exhaustive(preemptions=1), 6, 1)
        assert (outcomes(found), complete) == (outcomes(one), True)


@pytest.mark.parametrize("make", [RandomWalk, PCT, POS, Portfolio], ids=lambda make: make.__name__)
def test_samples_are_the_same_whoever_runs_them(make: type) -> None:
    """One at a time, dealing changes nothing; many at once, it changes nothing for a walk that has nothing to learn."""
    with open_testbed(raced(autocommit), 2) as stage:
        one = schedules(alone(stage, make(3), most=60))
        assert schedules(dealt(stage, make(3), 1, most=60)[0]) == one
        at_once = schedules(dealt(stage, make(3), 7, most=60)[0])
        assert len(at_once) == len(one)
        assert len(dealt(stage, make(3), 2, most=60, far=7)[0]) == len(one)
        if make is RandomWalk:
            assert at_once == one


def test_two_jobs_cover_what_one_covers() -> None:
    """The same outcomes in as many executions, complete; and a second time nothing differs, whoever was quicker."""
    scenario = raced(autocommit, faults=KILL)
    one, two, again = (
        run(scenario, scheduler="exhaustive", jobs=jobs, outcomes=True, patience=2.0) for jobs in (1, 2, 2)
    )
    assert (two.complete, two.outcomes, two.jobs) == (one.complete, one.outcomes, 2)
    assert two.executions <= one.executions * 1.2
    seen = [(each.executions, each.steps, each.abandoned, each.happened, each.verdict) for each in (two, again)]
    assert seen[0] == seen[1]


@pytest.mark.parametrize("scheduler", ["portfolio", "random"])
def test_the_failure_does_not_depend_on_timing(scheduler: str) -> None:
    """Three jobs report the same failure at the same execution twice, confirmed and shrunk as one job's is."""
    scenario = raced(autocommit, at_end=(counts_to(2),))
    found = [run(scenario, scheduler=scheduler, jobs=3, seed=5, patience=2.0) for _ in range(2)]
    first, second = ((each.first_failure, each.executions, each.counterexample) for each in found)
    assert first == second
    assert found[0].verdict is Verdict.INVALID
    assert found[0].counterexample is not None
    assert found[0].counterexample.preemptions == 1


def dies_in(test: int) -> Check:
    """Return a check that kills every process but *test*."""

    def kill(db: Path) -> None:
        if os.getpid() != test:
            os.kill(os.getpid(), signal.SIGKILL)

    return Check("nobody dies", kill)


def test_an_explorer_that_dies_is_no_pass() -> None:
    """What it was at was never judged: unknown, not complete, and the reason says who died and how."""
    result = run(raced(autocommit_in_one, at_end=(dies_in(os.getpid()),)), jobs=2)
    assert (result.verdict, result.complete) == (Verdict.UNKNOWN, False)
    assert re.search(r"explorer [01] \(process \d+\) was killed by SIGKILL while it explored", result.reasons[0])


def broken(db: Path) -> None:
    """Set nothing up."""
    raise RuntimeError("no room")


def nothing(workers: int) -> Workload:
    """Return a workload without calls."""
    return Workload((), workers)


@pytest.mark.parametrize(
    ("scenario", "options", "error", "says"),
    [
        (raced(autocommit, setup=broken), {"jobs": 2}, SetupFailed, "no room"),
        (raced(autocommit, workload=nothing), {"jobs": 2}, BadInput, "has no calls"),
        (raced(autocommit), {"jobs": 2, "scheduler": "hypothesis"}, BadInput, "can't explore with 2 jobs"),
        (raced(autocommit), {"jobs": 2, "scheduler": RandomWalk(0)}, BadInput, "Give the name of one"),
        (raced(autocommit), {"jobs": 0}, BadInput, "0 jobs can't be run"),
        (raced(autocommit), {"jobs": 65}, BadInput, "65 jobs can't be run"),
    ],
)
def test_what_can_not_be_explored_is_said_as_with_one_job(
    scenario: Scenario, options: dict[str, object], error: type[Exception], says: str
) -> None:
    """An error of an explorer is raised here, with its text; numbers and schedulers that make no sense are refused."""
    with pytest.raises(error, match=says):
        run(scenario, **options)  # type: ignore[arg-type]


def test_an_interrupt_leaves_nothing() -> None:
    """Whoever interrupts the one display there is ends all explorers, with their directories."""
    pids: list[int] = []

    def interrupt(progress: Progress) -> None:
        pids.extend(process.pid for process in multiprocess.active_children())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(raced(implicit_transaction, faults=KILL), scheduler="brute", jobs=2, progress=interrupt)
    assert len(pids) == 2
    assert multiprocess.active_children() == []
    assert not [left for pid in pids for left in directories(pid)]


RUNS = """
from harness.control.run import run
from harness.faults import Faults
from tests.harness.counter import raced
from tests.harness.sync_programs import two_transactions

while True:
    run(
        raced(two_transactions, faults=Faults(kill=True, most=2)),
        scheduler="brute",
        jobs=2,
        progress=lambda now: print(now.executions, flush=True),
    )
"""


def test_nothing_outlives_the_one_that_deals() -> None:
    """Killed with SIGKILL while explorers explore: within five seconds all processes and directories are gone."""
    mark = f"HARNESS_TEST_MARK={uuid.uuid4()}"
    name, _, value = mark.partition("=")
    dealer = subprocess.Popen(
        [sys.executable, "-c", RUNS], env={**config.child_environment(), name: value}, stdout=subprocess.PIPE
    )
    assert dealer.stdout is not None
    try:
        assert dealer.stdout.readline()
        before = list(processes(mark))
    finally:
        dealer.kill()
        dealer.wait()
        dealer.stdout.close()
    gone = in_time(lambda: not processes(mark))
    for survivor in processes(mark):
        os.kill(survivor, signal.SIGKILL)
    assert len(before) >= 3
    assert gone
    assert in_time(lambda: not [left for pid in before for left in directories(pid)])


def test_explorations_at_once_share_out_the_cores() -> None:
    """Each claims the core with the fewest claims; a core that was given up is the next to be taken."""
    cores = [10 * os.getpid(), 10 * os.getpid() + 1]
    claims = [_claim(cores) for _ in range(4)]
    assert [core for _, core in claims] == [*cores, *cores]
    claims[1][0].close()
    again, core = _claim(cores)
    assert core == cores[1]
    for claim in (again, *(claim for claim, _ in claims)):
        claim.close()


class Nobody:
    """An executor of two that runs nothing."""

    slots, ahead, far = 2, 4, 64


@pytest.mark.parametrize(
    ("seconds", "executions", "elapsed", "away"),
    [(None, 3, 60.0, 128), (9.0, 0, 0.0, 8), (9.0, 100, 0.1, 128), (9.0, 100, 5.0, 8)],
    ids=["no budget in seconds", "nothing known", "quick ones", "slow ones"],
)
def test_what_is_away_is_back_in_time(seconds: float | None, executions: int, elapsed: float, away: int) -> None:
    """Under a budget in seconds, which ends with all that is away, much is away only if it takes less than a second."""
    budget = Budget(1_000, seconds, began=time.perf_counter() - elapsed)
    tally = Tally(raced(autocommit), budget, lambda _: None, executions=executions)
    assert _Table(Nobody(), dealer_of(RandomWalk(0), None), tally)._most() == away  # type: ignore[arg-type]
