"""The same seed gives the same history: here, in another process, and whatever source of chance the code asks."""

from __future__ import annotations

import datetime
import json
import os
import random
import secrets
import sqlite3
import subprocess
import sys
import time
import uuid
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from harness.control.run import run
from harness.control.testbed.testbed import open_testbed
from harness.project import config
from harness.result import Execution
from harness.scenario import Call, Client, Scenario, Workload
from harness.schedulers.random_walk import RandomWalk
from harness.verdict import Verdict
from tests.harness import test_async
from tests.harness.counter import counts_to, executions, explored, raced
from tests.harness.sync_programs import bump, plainly

pytestmark = pytest.mark.forks


class SameWalk:
    """The same random walk, again and again."""

    name = "same"

    def __init__(self, times: int, seed: int = 7) -> None:
        self._times, self._seed = times, seed
        self._walk = RandomWalk(seed)

    def start(self, previous: Execution | None) -> bool:
        """Begin at the beginning."""
        self._walk = RandomWalk(self._seed)
        self._walk.start(None)
        self._times -= 1
        return self._times >= 0

    def choose(self, view: Any) -> str | None:
        """Choose as the walk does."""
        return self._walk.choose(view)


def deferred(db: Path) -> None:
    """Transactions that collide, and are tried again after some random time."""
    with plainly(db) as connection:
        while True:
            try:
                connection.execute("BEGIN")
                bump(connection)
                connection.execute("COMMIT")
                return
            except sqlite3.OperationalError:
                connection.execute("ROLLBACK")
                time.sleep(random.random())


@pytest.mark.slow
@pytest.mark.parametrize("worker", [deferred, test_async.gathers_in_order])
@pytest.mark.parametrize("seed", [3, 8])
def test_the_same_seed_gives_the_same_history(worker: Any, seed: int) -> None:
    """Fifty times: the steps, with everything they touched, and what the clients were told."""
    found = executions(raced(worker), SameWalk(50, seed))
    assert len(found) == 50
    assert len({(execution.steps, execution.history, execution.outcome) for execution in found}) == 1


DIGEST = """
import hashlib, sys
from scenarios import ALL
from harness.control.testbed.testbed import open_testbed
from harness.schedulers.random_walk import RandomWalk
scenario = next(scenario for scenario in ALL if scenario.name == sys.argv[1])
walk = RandomWalk(11)
digest = hashlib.sha256()
with open_testbed(scenario, 2, seed=5) as stage:
    for _ in range(10):
        walk.start(None)
        execution = stage.driver.run(walk, scenario.workload(2))
        digest.update(repr([(step.digest, step.now, step.accesses) for step in execution.steps]).encode())
        digest.update(repr(execution.history).encode())
print(digest.hexdigest())
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["issue-token", "create-agent-retry"])
def test_the_same_seed_gives_the_same_history_in_another_process(name: str) -> None:
    """Also where ``PYTHONHASHSEED`` is not set, and so is another one in each process."""
    environment = {name: value for name, value in config.child_environment().items() if name != "PYTHONHASHSEED"}
    printed = [
        subprocess.run(
            [sys.executable, "-c", DIGEST, name],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for _ in range(2)
    ]
    assert len(printed[0].strip()) == 64
    assert printed[0] == printed[1]


def asks_everything(db: Path) -> list[str]:
    """Ask every source of chance and time there is."""
    time.sleep(random.random())
    with closing(sqlite3.connect(db)) as connection:
        in_sql = connection.execute("SELECT random(), hex(randomblob(8))").fetchone()
        at = connection.execute("SELECT CURRENT_TIMESTAMP, julianday('now')").fetchone()
    return [
        str(value)
        for value in (
            random.random(), random.Random().random(), random.SystemRandom().random(), secrets.token_hex(8),
            os.urandom(8).hex(), uuid.uuid4(), uuid.uuid1(), *in_sql,
            time.time(), datetime.datetime.now().timestamp(), datetime.datetime.now(datetime.UTC), *at,
        )
    ]  # fmt: skip


BY_CHANCE = 9
"""How many of the answers are drawn, not read from a clock."""


def asked(seed: int) -> list[list[str]]:
    """Return what each of two clients was answered in one execution under *seed*."""
    scenario = raced(asks_everything)
    walk = RandomWalk(1)
    walk.start(None)
    with open_testbed(scenario, 2, seed=seed, patience=2.0) as stage:
        execution = stage.driver.run(walk, scenario.workload(2))
    return [json.loads(json.dumps(outcome.value)) for outcome in execution.history.outcomes()]


def test_chance_and_time_are_under_control() -> None:
    """Equal in two runs of one seed, different for two clients and for another seed."""
    mine, other = asked(4)
    assert asked(4) == [mine, other]
    assert [one == another for one, another in zip(mine, other, strict=True)][:BY_CHANCE] == [False] * BY_CHANCE
    elsewhere, _ = asked(5)
    assert [one == another for one, another in zip(mine, elsewhere, strict=True)][:BY_CHANCE] == [False] * BY_CHANCE


def test_time_begins_at_the_same_moment_in_each_execution() -> None:
    """The clocks of Python and of SQLite show the same virtual time."""
    mine, _ = asked(4)
    now, naive, aware, in_sql = mine[BY_CHANCE : BY_CHANCE + 4]
    assert now == naive
    assert aware.startswith("2023-11-14 22:13:2")
    assert in_sql.startswith("2023-11-14 22:13:2")


NUMBERS = count(1)


def counts_calls(db: Path) -> None:
    """The SQL has a number from a counter that outlives the execution."""
    with plainly(db) as connection:
        connection.execute(f"UPDATE t SET n = n + 1 WHERE k = 1 AND {next(NUMBERS)} > 0")


def test_state_that_outlives_an_execution_is_noticed() -> None:
    """The run goes on with fresh processes, and says so and at which step two executions parted."""
    result = explored(raced(counts_calls, at_end=(counts_to(2),)))
    assert (result.verdict, result.complete, result.isolation) == (Verdict.VALID, True, "fork"), result.reasons
    assert "departs from the recording at step " in result.anew
    assert "AND 1 > 0" in result.anew


def test_fresh_processes_have_no_such_state() -> None:
    """With ``isolation="fork"`` the same program is deterministic, and valid."""
    result = explored(raced(counts_calls, at_end=(counts_to(2),)), isolation="fork")
    assert (result.verdict, result.complete) == (Verdict.VALID, True), result.reasons


def test_two_runs_find_the_same() -> None:
    """Every number of the result, and the counterexample, are equal."""

    def workload(_: int) -> Workload:
        return Workload(tuple(Client((Call("op0", (), number), Call("op0", (), number))) for number in range(2)))

    def bumps(db: Path) -> None:
        with plainly(db) as connection:
            bump(connection)

    scenario: Scenario = raced(bumps, workload=workload, at_end=(counts_to(4),))
    for scheduler in ("exhaustive", "random", "hypothesis"):
        first, second = (run(scenario, scheduler=scheduler, max_executions=200, seed=9) for _ in range(2))
        assert first.counterexample is not None
        assert first.counterexample == second.counterexample
        assert (first.executions, first.steps) == (second.executions, second.steps)


def draws_after_an_import(db: Path) -> None:
    """Import a module that draws, and write down what is drawn then."""
    import drawing_module  # type: ignore[import-not-found]  # noqa: F401

    with plainly(db) as connection:
        connection.execute(f"UPDATE t SET n = 0x{secrets.token_hex(4)}")


def test_what_an_import_draws_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module is imported in a worker's first execution only: what the code draws after that is the same in all."""
    (tmp_path / "drawing_module.py").write_text("import secrets\nNAME = secrets.token_hex(4)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    first, *others = executions(raced([draws_after_an_import]), SameWalk(3))
    assert [[step.digest for step in execution.steps] for execution in others] == [
        [step.digest for step in first.steps]
    ] * 2
