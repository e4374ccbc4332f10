"""When a worker may die, and when what takes its place begins: also between its last effect and the answer."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.control.repeating import replays
from harness.faults import Faults
from harness.saved.counterexample import Counterexample, load, save
from harness.scenario import Call, Check, Client, Scenario, Workload
from harness.values.history import History
from harness.verdict import Verdict
from tests.harness.counter import explored, one, prepared, raced, reduced_and_brute
from tests.harness.sync_programs import ADD, autocommit
from tests.harness.web import served

pytestmark = [pytest.mark.forks, pytest.mark.slow]

ONE_KILL = Faults(kill=True, most=1)


def takes(db: Path) -> int:
    """Take the number up if nobody has; say which it was."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        return connection.execute("UPDATE t SET n = 1 WHERE k = 1 AND n = 0").rowcount


def somebody_was_told(history: History, db: Path) -> None:
    """What is taken, somebody has."""
    told = [outcome.value for outcome in history.outcomes() if outcome.ok]
    assert one(db) == 0 or 1 in told, "it is taken, and nobody was told that he has it"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_dies_between_its_commit_and_its_answer(workers: int, tmp_path: Path) -> None:
    """Also where it is the very last thing that happens. The counterexample can be replayed."""
    scenario = raced([takes] * workers, faults=ONE_KILL, postconditions=(Check("told", somebody_was_told),))
    result = explored(scenario)
    assert result.verdict is Verdict.INVALID
    assert result.counterexample is not None
    (kill,) = [step for step in result.counterexample.steps if step.kind == "kill"]
    assert kill.text.startswith("SIGKILL before c")
    again = replays.replay(scenario, load(save(Counterexample.of(result), tmp_path)), times=2)
    assert again.failed_again == 2


def test_it_costs_an_execution_for_each_answer() -> None:
    """Two workers that touch nothing in common: a kill before each step, after the last one, and before the answer."""
    scenario = raced([lambda db: autocommit(db), lambda db: None], faults=ONE_KILL, raising_fails=False, ordered=False)
    result = explored(scenario)
    assert (result.verdict, result.complete) == (Verdict.VALID, True)
    assert result.executions <= 12


@pytest.mark.parametrize(("program", "ordered"), [(takes, False), (takes, True), (autocommit, True)])
def test_pruning_loses_no_outcome_of_an_answer_unheard(program: Any, ordered: bool) -> None:
    """What the clients are told is part of an outcome."""
    reduced, brute = reduced_and_brute(raced(program, faults=ONE_KILL, ordered=ordered, raising_fails=False))
    assert reduced == brute


def test_a_client_goes_on_after_an_answer_that_it_did_not_hear() -> None:
    """Its next call finds the effect of the one before."""

    def never_twice(history: History, db: Path) -> None:
        first, _ = (outcome.kind for outcome in history.outcomes())
        assert not (first == "info" and one(db) == 2), "done twice, since the first time was not heard of"

    def workload(workers: int) -> Workload:
        return Workload((Client((Call("op0"),) * 2),), workers)

    scenario = raced(
        [autocommit], workload=workload, workers=1, faults=ONE_KILL, postconditions=(Check("once", never_twice),)
    )
    result = explored(scenario)
    assert result.verdict is Verdict.INVALID


async def asks_again(http: httpx.AsyncClient, path: str) -> int:
    """Post until there is an answer."""
    for _ in range(3):
        try:
            return (await http.post(path, timeout=2.0)).status_code
        except httpx.TransportError:
            continue
    return 0


def test_a_worker_dies_before_its_response_has_left() -> None:
    """The connection is closed, the client asks again, and a fresh process does it once more."""

    def once(db: Path) -> None:
        assert one(db) <= 1, "done twice"

    base = served("/add", clients=1, workers=1, at_end=(Check("once", once),), faults=ONE_KILL)
    scenario = replace(base, operations={**base.operations, "post": asks_again})
    result = explored(scenario)
    assert result.verdict is Verdict.INVALID
    assert result.counterexample is not None
    kinds = [step.kind for step in result.counterexample.steps]
    assert "kill" in kinds[kinds.index("sql") :]


# What takes a dead worker's place


def configured(db: Path) -> None:
    """A file beside the database."""
    prepared()(db)
    (db.parent / "conf").write_text("old")


def reads_the_file(db: Path) -> tuple[Path, str]:
    """Make the application."""
    return db, (db.parent / "conf").read_text()


def lists_the_directory(db: Path) -> tuple[Path, str]:
    """Make the application, of what there is."""
    return db, "new" if "extra" in os.listdir(db.parent) else "old"


def reads_the_database(db: Path) -> tuple[Path, str]:
    """Make the application, of a row."""
    return db, "new" if one(db, "SELECT n FROM t WHERE k = 2") else "old"


def changes(app: tuple[Path, str]) -> None:
    """Change all of them."""
    directory = app[0].parent
    (directory / "conf.tmp").write_text("new")
    os.replace(directory / "conf.tmp", directory / "conf")
    (directory / "extra").touch()
    with closing(sqlite3.connect(app[0], isolation_level=None)) as connection:
        connection.execute("UPDATE t SET n = 1 WHERE k = 2")


def works(app: tuple[Path, str]) -> str:
    """Say which configuration this is."""
    with closing(sqlite3.connect(app[0], isolation_level=None)) as connection:
        connection.execute(ADD)
    return app[1]


def reconfigured(opens: Any, **more: Any) -> Scenario:
    """Return a worker that changes what *opens* reads, beside one that may die and begin anew meanwhile."""

    def workload(_: int) -> Workload:
        return Workload((Client((Call("changes", (), 0),)), Client((Call("works", (), 1),) * 2)), 2)

    return Scenario(
        name="reconfigured",
        setup=configured,
        open=opens,
        operations={"changes": changes, "works": works},
        workload=workload,
        faults=ONE_KILL,
        ordered=False,
        **more,
    )


def found_after_a_kill(wanted: str) -> Check:
    """Return the rule that a worker that began anew does not have the *wanted* configuration."""

    def holds(history: History, _: Path) -> None:
        first, second = history.outcomes("works")
        assert not (first.kind == "info" and second.ok and second.value == wanted), f"it has the {wanted}"

    return Check("configuration", holds)


@pytest.mark.parametrize("wanted", ["old", "new"])
@pytest.mark.parametrize("opens", [reads_the_file, lists_the_directory, reads_the_database])
def test_what_begins_anew_finds_things_as_they_are_then(opens: Any, wanted: str) -> None:
    """Before the change and after it, whatever it is that it looks at."""
    result = explored(reconfigured(opens, postconditions=(found_after_a_kill(wanted),)))
    assert result.verdict is Verdict.INVALID
    assert result.counterexample is not None
    assert [step.kind for step in result.counterexample.steps].count("restart") == 1


def test_it_begins_late() -> None:
    """The death lets a lock go; what that makes possible happens before the replacement begins."""

    def opens(db: Path) -> tuple[Path, str]:
        return db, (db.parent / "conf").read_text()

    def locks(app: tuple[Path, str]) -> str:
        with closing(sqlite3.connect(app[0], isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("COMMIT")
        return app[1]

    def refused_or_changes(app: tuple[Path, str]) -> str:
        with closing(sqlite3.connect(app[0], isolation_level=None, timeout=0)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return "refused"
            (app[0].parent / "conf").write_text("new")
            connection.execute("COMMIT")
        return "changed"

    def rule(history: History, _: Path) -> None:
        kinds = [(outcome.kind, outcome.value) for outcome in history.outcomes()]
        wanted = [("info", None), ("ok", "refused"), ("ok", "changed"), ("ok", "new")]
        assert sorted(map(str, kinds)) != sorted(map(str, wanted)), "refused by the dead one, and new after it"

    def workload(_: int) -> Workload:
        return Workload((Client((Call("locks", (), 0),) * 2), Client((Call("changes", (), 1),) * 2)), 2)

    scenario = Scenario(
        name="late",
        setup=configured,
        open=opens,
        operations={"locks": locks, "changes": refused_or_changes},
        workload=workload,
        faults=ONE_KILL,
        ordered=False,
        raising_fails=False,
        postconditions=(Check("late", rule),),
    )
    assert explored(scenario).verdict is Verdict.INVALID


def replaces_the_file(app: tuple[Path, str]) -> None:
    """In one step."""
    os.unlink(app[0].parent / "conf")


def says_what_it_has(app: tuple[Path, str]) -> str:
    """Touch nothing."""
    return app[1]


def finds_a_file(db: Path) -> tuple[Path, str]:
    """Make the application."""
    return db, "old" if (db.parent / "conf").exists() else "new"


def test_pruning_loses_no_outcome_of_a_beginning() -> None:
    """The reduced search finds what trying everything finds."""
    operations = {"changes": replaces_the_file, "works": says_what_it_has}
    reduced, brute = reduced_and_brute(replace(reconfigured(finds_a_file), operations=operations), most=20_000)
    assert reduced == brute
