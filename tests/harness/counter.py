"""What most of these tests race: workers that count in a table, and the ways to run them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from harness.control.run import run
from harness.control.testbed.testbed import open_testbed
from harness.result import Execution, Result
from harness.scenario import Call, Check, Client, Scenario, Workload
from harness.schedulers.base import Scheduler
from harness.schedulers.tree.exhaustive import Exhaustive
from harness.schedulers.tree.stateful import Stateful

MODES = ("delete", "wal")


def prepared(mode: str = "delete", files: Sequence[str] = ()) -> Callable[[Path], None]:
    """Return a setup: a table ``t(k, n)`` of two rows at 0, in the main database and in *files* beside it."""

    def setup(db: Path) -> None:
        for path in (db, *(db.with_name(name) for name in files)):
            with closing(sqlite3.connect(path)) as connection:
                connection.execute(f"PRAGMA journal_mode = {mode}")
                connection.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, n INTEGER)")
                connection.executemany("INSERT INTO t VALUES (?, ?)", [(1, 0), (2, 0)])
                connection.commit()

    return setup


def one(db: Path, sql: str = "SELECT n FROM t WHERE k = 1") -> Any:
    """Return the first column of the first row that *sql* gives."""
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(sql).fetchone()[0]


def counts_to(wanted: int, sql: str = "SELECT n FROM t WHERE k = 1", file: str = "") -> Check:
    """Return the rule that *sql* gives *wanted* at the end."""

    def holds(db: Path) -> None:
        found = one(db.with_name(file) if file else db, sql)
        assert found == wanted, f"it is {found}, not {wanted}"

    return Check("every increment counts", holds)


def raced(worker: Callable[..., Any] | Sequence[Callable[..., Any]], mode: str = "delete", **fields: Any) -> Scenario:
    """Return a scenario in which each of two workers (or of those given) runs *worker* once."""
    given: list[Callable[..., Any]] = [] if callable(worker) else list(worker)

    def workload(workers: int) -> Workload:
        return Workload(
            tuple(Client((Call(f"op{number if given else 0}", (), number),)) for number in range(workers)), workers
        )

    operations = {f"op{number}": function for number, function in enumerate([worker] if callable(worker) else worker)}
    defaults = {
        "setup": prepared(mode), "workload": workload, "ordered": False, "workers": len(given) or 2,
    }  # fmt: skip
    return Scenario(name="counter", operations=operations, **{**defaults, **fields})


def explored(scenario: Scenario, **options: Any) -> Result:
    """Run *scenario* to the end of its state space, or to 4,000 executions; why it fails is for other tests to ask."""
    return run(scenario, **{"max_executions": 4_000, "patience": 2.0, "explain": False, **options})


def executions(
    scenario: Scenario, scheduler: Scheduler, *, workers: int | None = None, most: int = 4_000
) -> list[Execution]:
    """Return every execution that *scheduler* asks for, failing ones included, each with its outcome's digest."""
    (found,) = executions_of_each(scenario, scheduler, workers=workers, most=most)
    return found


def executions_of_each(
    scenario: Scenario, *schedulers: Scheduler, workers: int | None = None, most: int = 4_000
) -> list[list[Execution]]:
    """Return the same for each of *schedulers*, one after another in the same processes."""
    every: list[list[Execution]] = []
    number = scenario.workers if workers is None else workers
    with open_testbed(scenario, number, patience=2.0) as stage:
        stage.driver.wants_outcomes = True
        for scheduler in schedulers:
            found: list[Execution] = []
            while scheduler.start(found[-1] if found else None):
                assert len(found) < most, f"more than {most} executions"
                found.append(stage.driver.run(scheduler, scenario.workload(number)))
                assert not found[-1].stuck, found[-1].stuck
            every.append(found)
    return every


def outcomes(found: Sequence[Execution]) -> set[str]:
    """Return the distinct ways in which executions ended."""
    return {str(execution.failure or execution.outcome) for execution in found if not execution.abandoned}


def reduced_and_brute(scenario: Scenario, workers: int | None = None, most: int = 4_000) -> tuple[set[str], set[str]]:
    """Return the outcomes that the reduced search finds, and those that trying everything finds."""
    reduced, brute = executions_of_each(scenario, Stateful(), Exhaustive(reduction=False), workers=workers, most=most)
    return outcomes(reduced), outcomes(brute)
