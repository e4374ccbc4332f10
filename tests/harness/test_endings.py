"""How calls, workers and checks can end other than by returning, and what the run makes of it."""

from __future__ import annotations

import os
import select
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.control.run import run
from harness.errors import SetupFailed
from harness.faults import Faults
from harness.scenario import Call, Check, Client, Scenario, Workload
from harness.schedulers.tree.exhaustive import Exhaustive
from harness.verdict import Verdict
from tests.harness.counter import counts_to, executions, explored, one, prepared, raced, reduced_and_brute
from tests.harness.sync_programs import ADD, bump, plainly

ONE_KILL = Faults(kill=True, most=1)

pytestmark = pytest.mark.forks


def well_behaved(db: Path) -> None:
    """Increment in one statement."""
    with plainly(db) as connection:
        connection.execute(ADD)


def spins_for_ever(db: Path) -> None:
    """Loop without end."""
    while True:
        pass


def waits_for_a_minute(db: Path) -> None:
    """Wait in a call that is not under control."""
    select.select([], [], [], 60)


@pytest.mark.slow
@pytest.mark.parametrize("worker", [spins_for_ever, waits_for_a_minute])
def test_a_worker_that_reaches_no_schedule_point_is_unknown(worker: Any) -> None:
    """After the run's patience it is killed, and the reason shows the function of the user's that it was in."""
    result = run(raced([worker, well_behaved]), patience=0.5)
    assert (result.verdict, result.complete) == (Verdict.UNKNOWN, False)
    assert worker.__name__ in result.reasons[0]
    assert "test_endings.py" in result.reasons[0]


def exits(db: Path) -> None:
    """End the process in the middle of a transaction."""
    with plainly(db) as connection:
        connection.execute("BEGIN IMMEDIATE")
        os._exit(3)


def test_a_worker_that_ends_itself_is_a_failure() -> None:
    """``os._exit`` is found as a dead worker, with its exit code."""
    result = explored(raced([exits, well_behaved]))
    assert result.verdict is Verdict.INVALID
    assert result.counterexample is not None
    failure = result.counterexample.failure
    assert failure is not None
    assert failure.kind == "worker died"
    assert "exit code 3" in failure.message


def killed(db: Path) -> None:
    """Die by SIGKILL while holding the lock, with a row written."""
    with plainly(db) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE t SET n = n + 10 WHERE k = 1")
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_a_crash_that_the_others_outlive() -> None:
    """Its call ends as ``info``, its lock is free, its writes are gone, and the other worker goes on."""
    scenario = raced([killed, well_behaved], at_end=(counts_to(1),))
    assert explored(scenario).verdict is Verdict.VALID
    for execution in executions(scenario, Exhaustive()):
        if not execution.abandoned:
            assert {outcome.operation: outcome.kind for outcome in execution.history.outcomes()} == {
                "op0": "info", "op1": "ok",
            }  # fmt: skip


def broken_setup(db: Path) -> None:
    """Fail on a line of its own."""
    raise LookupError(f"no such fixture as {db.name}")


def test_a_setup_that_fails_shows_where() -> None:
    """Nothing is raced, and the user's line is in the message."""
    with pytest.raises(SetupFailed, match=r"(?s)test_endings\.py.*broken_setup.*no such fixture as db\.sqlite"):
        run(raced(well_behaved, setup=broken_setup))


def leaves(*_: object) -> None:
    """Call ``sys.exit`` where nobody expects it."""
    sys.exit(4)


def test_sys_exit_in_a_setup_is_a_failed_setup() -> None:
    """It does not end the run silently."""
    with pytest.raises(SetupFailed, match="SystemExit: 4"):
        run(raced(well_behaved, setup=leaves))


def test_sys_exit_in_an_operation_is_an_error_of_it() -> None:
    """It is an exception that left the operation, like any other."""
    result = explored(raced([leaves, well_behaved]))
    assert result.verdict is Verdict.INVALID
    assert result.counterexample is not None
    failure = result.counterexample.failure
    assert failure is not None
    assert (failure.kind, failure.rule) == ("error", "SystemExit")


def test_sys_exit_in_an_operation_may_be_expected() -> None:
    """Named among the expected errors it is none."""
    assert explored(raced(leaves, expected_errors=("SystemExit",))).verdict is Verdict.VALID


def test_sys_exit_while_opening_is_a_failed_opening() -> None:
    """The worker could not open its application."""
    with pytest.raises(SetupFailed, match="could not open its application: SystemExit: 4"):
        run(raced(well_behaved, open=leaves))


@pytest.mark.parametrize("field", ["invariants", "at_end", "postconditions"])
def test_a_check_that_raises_is_not_passed(field: str) -> None:
    """``sys.exit`` in a rule ends neither the run nor the controller, and is no pass."""
    fields: dict[str, Any] = {field: (Check("leaves", leaves),)}
    result = explored(raced(well_behaved, **fields))
    assert result.verdict is not Verdict.VALID


def two_statements(db: Path) -> None:
    """Move one from the first row to the second, in two transactions."""
    with plainly(db) as connection:
        connection.execute("UPDATE t SET n = n - 1 WHERE k = 1")
        connection.execute("UPDATE t SET n = n + 1 WHERE k = 2")


def one_transaction(db: Path) -> None:
    """Move one from the first row to the second, in one transaction."""
    with plainly(db) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE t SET n = n - 1 WHERE k = 1")
        connection.execute("UPDATE t SET n = n + 1 WHERE k = 2")
        connection.execute("COMMIT")


NOTHING_LOST = counts_to(0, "SELECT sum(n) FROM t")


def test_a_kill_between_two_statements_is_found() -> None:
    """A transfer in two transactions is broken by one kill, and only by a kill."""
    scenario = raced(two_statements, at_end=(NOTHING_LOST,))
    assert explored(scenario).verdict is Verdict.VALID
    result = explored(raced(two_statements, at_end=(NOTHING_LOST,), faults=ONE_KILL))
    assert result.verdict is Verdict.INVALID
    assert result.counterexample is not None
    kinds = [step.kind for step in result.counterexample.steps]
    assert kinds.count("kill") == 1
    assert result.counterexample.preemptions == 0


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_transfer_in_one_transaction_outlives_any_kill(mode: str) -> None:
    """Wherever one worker is killed, the other finds all of the transfer or nothing of it."""
    result = explored(raced(one_transaction, mode, at_end=(NOTHING_LOST,), invariants=(NOTHING_LOST,), faults=ONE_KILL))
    assert (result.verdict, result.complete) == (Verdict.VALID, True), result.reasons or result.counterexample


def lonely(_: int) -> Workload:
    """One client in each of two workers; the first adds, the second reads and writes back."""
    return Workload((Client((Call("add", (), 0),)), Client((Call("bump", (), 1),))))


def bumps(db: Path) -> None:
    """Read and write back."""
    with plainly(db) as connection:
        bump(connection)


@pytest.mark.slow
def test_pruning_loses_no_outcome_of_a_kill() -> None:
    """With one kill, the reduced search finds the outcomes that trying everything finds."""
    scenario = Scenario(
        name="kills",
        setup=prepared(),
        operations={"add": well_behaved, "bump": bumps},
        workload=lonely,
        ordered=False,
        faults=ONE_KILL,
    )
    reduced, brute = reduced_and_brute(scenario)
    assert reduced == brute
    assert len(brute) > 3


def test_what_a_killed_worker_had_committed_stays() -> None:
    """A kill loses what was not committed, and nothing else."""

    def dies_afterwards(db: Path) -> None:
        well_behaved(db)
        os.kill(os.getpid(), signal.SIGKILL)

    def is_there(db: Path) -> bool:
        return bool(one(db) == 2)

    result = explored(raced(dies_afterwards, at_end=(Check("both are there", is_there),)))
    assert (result.verdict, result.complete) == (Verdict.VALID, True)
