"""Explanations of real races: the window's lines, the pair that decides, the fault that it takes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from harness import registry
from harness.control.repeating import fault_moves
from harness.control.repeating import neighbours as explaining
from harness.control.repeating.neighbours import Unexplained
from harness.control.testbed.testbed import open_testbed
from harness.errors import HarnessError
from harness.reports.text.why import sentences
from harness.result import Failure, Result
from harness.scenario import Call, Client, Workload
from harness.schedulers.plan import Atom
from harness.schedulers.replay import Replay
from harness.schedulers.tree.exhaustive import Exhaustive
from harness.values.explanation import Explanation, Named
from harness.verdict import Verdict
from tests.harness.counter import counts_to, explored, raced
from tests.harness.sync_programs import bump

pytestmark = pytest.mark.forks


def reads_and_writes_back(db: Path) -> None:
    """Increment, the read before the transaction that writes."""
    with closing(sqlite3.connect(db)) as connection, connection:
        bump(connection)


LOST_UPDATE = raced(reads_and_writes_back, at_end=(counts_to(2),))


def found(result: Result) -> Explanation:
    """Return the explanation that *result* must have."""
    assert result.verdict is Verdict.INVALID
    assert result.explanation is not None, result.unexplained
    return result.explanation


def variant(scenario: str, name: str) -> Result:
    """Run a faulty variant."""
    return explored(registry.find(scenario, name), patience=5.0, explain=True)


def said(result: Result) -> list[str]:
    """Return the sentences on *result*."""
    assert result.counterexample is not None
    return sentences(found(result), result.counterexample)


def what(step: Named | None) -> tuple[int | None, str]:
    """Return the number of a step, and what it did."""
    assert step is not None
    statement = step.statement or step.step
    return step.number, f"w{step.step.worker} {statement.text.partition(' ')[0]}"


def test_the_lost_update_is_explained() -> None:
    """The other worker's read falls between the read and the write of the first; either order turned round, it passes."""
    result = explored(LOST_UPDATE, explain=True)
    why = found(result)
    (window,) = why.windows
    assert (what(window.opens)[1], what(window.closes)[1]) == ("w0 SELECT", "w0 COMMIT")
    assert window.intruding is not None
    assert window.intruding.step.worker == 1
    assert window.opening is not None
    assert window.closing is not None
    assert (what(window.opening.first)[1], what(window.opening.second)[1]) == ("w0 SELECT", "w1 COMMIT")
    assert (what(window.closing.first)[1], what(window.closing.second)[1]) == ("w1 SELECT", "w0 COMMIT")
    assert {place.outcome for place in window.places if place.by == 0} == {"fails"}
    assert [window.places[0].outcome, window.places[-1].outcome] == ["passes", "passes"]
    assert 0 < why.failing < why.neighbours
    assert why.cut_short == ""


def test_the_passing_schedule_passes_and_the_failing_one_fails() -> None:
    """What is said of the deciding pair holds when both schedules are run again."""
    result = explored(LOST_UPDATE, explain=True)
    pair = found(result).critical
    assert pair is not None
    assert result.counterexample is not None
    with open_testbed(LOST_UPDATE, 2) as stage:
        for schedule, fails in ((pair.failing, True), (pair.passing, False)):
            replay = Replay(schedule)
            replay.start(None)
            again = stage.driver.run(replay, result.counterexample.workload)
            assert (again.failure is not None) == fails


def test_check_then_insert_is_explained_by_its_lines() -> None:
    """The sentence names the SELECT and both INSERTs where they stand in tokens.py."""
    result = variant("issue-token", "t01-check-then-insert")
    (window,) = found(result).windows
    assert what(window.opens) == (1, "w0 SELECT")
    assert what(window.closes)[1] == what(window.intruding)[1].replace("w1", "w0") == "w0 INSERT"
    source = (Path(__file__).parents[2] / "reference_impl/tokens.py").read_text().splitlines()
    texts = ('"SELECT agents.id, tokens.id FROM agents', '"INSERT INTO tokens (')
    # The call stands two lines above its statement.
    select, insert = (next(n for n, line in enumerate(source, -1) if text in line) for text in texts)
    first, second, *_ = said(result)
    assert first == (
        f"Worker 1's INSERT (tokens.py:{insert}) fell between worker 0's SELECT (tokens.py:{select}) "
        f"and its INSERT (tokens.py:{insert})."
    )
    assert "It takes 2 orders, at db.sqlite: worker 0's SELECT (step 1) before worker 1's INSERT" in second


def test_read_after_commit_is_explained() -> None:
    """The other commit falls between this one's commit and its read, and had better come after that."""
    result = variant("rotate-token", "t11-read-after-commit")
    (window,) = found(result).windows
    assert [what(each)[1] for each in (window.opens, window.intruding, window.closes)] == [
        "w0 COMMIT",
        "w1 COMMIT",
        "w0 SELECT",
    ]
    critical = found(result).critical
    assert critical is not None
    assert (what(critical.first)[1], what(critical.second)[1]) == ("w1 COMMIT", "w0 SELECT")
    assert [each.resource for each in critical.conflicts] == ["data:db.sqlite"]


@pytest.mark.slow
def test_a_crash_between_two_transactions_is_explained() -> None:
    """The kill between the two commits is essential, and neither a commit earlier nor one later does it."""
    scenario = registry.find("keyed-crashes", "r24-two-transactions")
    # Not shrunk, which takes long: an explanation is of any failing execution.
    with open_testbed(scenario, scenario.workers) as stage:
        explorer, failed = Exhaustive(), None
        while failed is None or failed.failure is None:
            assert explorer.start(failed)
            failed = stage.driver.run(explorer, scenario.workload(scenario.workers))
        why = explaining.explain(stage.driver, failed)
    (role,) = [role for role in why.faults if role.essential]
    assert what(role.after)[1].partition(" ")[2] == what(role.before)[1].partition(" ")[2] == "COMMIT"
    assert any(
        "was killed after its COMMIT (r24_two_transactions.py:" in text
        and "before its COMMIT (r24_two_transactions.py:" in text
        for text in sentences(why, failed)
    )


def test_where_no_interleaving_is_needed_that_is_said() -> None:
    """A check in one process's memory fails with one call after another, in whatever order."""
    result = variant("create-agent-retry", "r01-get-then-set")
    assert found(result).windows == ()
    assert said(result)[0].startswith("No interleaving and no fault is needed")


def test_a_limit_that_is_hit_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many executions it stops, keeps what it has, and says so."""
    monkeypatch.setattr(explaining, "_MOST", 3)
    result = explored(LOST_UPDATE, explain=True)
    assert found(result).executions == 3
    assert found(result).cut_short == "3 executions"
    assert said(result)[-1] == "Not all neighbours were tried: it stopped at 3 executions."


CACHE: dict[str, int] = {}


def by_a_cache(db: Path) -> int:
    """Return the next number: the one in this process' memory, or else in the database, plus one."""
    with closing(sqlite3.connect(db)) as connection, connection:
        (n,) = connection.execute("SELECT n FROM t").fetchone()
        CACHE["n"] = CACHE.get("n", n) + 1
        connection.execute("UPDATE t SET n = ?", (CACHE["n"],))
    return CACHE["n"]


def forgets(db: Path) -> Path:
    """Begin with an empty cache."""
    CACHE.clear()
    return db


def never_counts(db: Path) -> None:
    """Do nothing, however it is called."""


def test_whether_one_worker_alone_fails_is_said() -> None:
    """What each worker keeps in its memory fails with several only; a bug that is no race fails in one."""
    calls = Workload((Client((Call("op0", (), 0), Call("op0", (), 1), Call("op0", (), 0))),), 2)
    cached = replace(raced(by_a_cache, at_end=(counts_to(3),)), open=forgets, workload=lambda _: calls)
    first = said(explored(cached, explain=True))[0]
    assert first.startswith("No interleaving and no fault is needed")
    assert first.endswith("With all calls in one worker it passes: what a worker keeps in its own memory matters.")
    first = said(explored(raced(never_counts, at_end=(counts_to(2),)), explain=True))[0]
    assert first.endswith("With all calls in one worker it fails, too: this is no race.")


def test_a_fault_counts_as_moved_only_where_it_was() -> None:
    """A plan that could not place the fault elsewhere says nothing about that place."""
    result = explored(LOST_UPDATE, explain=False)
    failed = result.counterexample
    assert failed is not None
    kill = failed.steps[0]._replace(choice="!kill:w0", kind="kill")
    moved = replace(failed, steps=(failed.steps[0], kill, *failed.steps[1:]))
    atom = Atom("", "!kill:w0")
    assert fault_moves._outcome(moved, atom, 1) == "fails"
    assert fault_moves._outcome(moved, atom, 0) == fault_moves._outcome(moved, atom, 99) == "impossible"


def test_nothing_is_said_of_a_fault_that_was_left_out_in_part() -> None:
    """Of two ways to leave it out, both must have been tried."""
    assert fault_moves._is_essential([None, None], [], tried=True) is True
    assert fault_moves._is_essential([None], [], tried=False) is None
    failure = Failure("at end", "x", "", 0)
    assert fault_moves._is_essential([failure], [], tried=False) is False
    assert fault_moves._is_essential([failure, None], [failure], tried=True) is True


def test_what_never_ends_is_explained_by_its_loop() -> None:
    """It is not made small, but what each task repeats is named."""

    def spins(db: Path) -> None:
        with closing(sqlite3.connect(db, isolation_level=None)) as connection:
            while True:
                connection.execute("SELECT n FROM t").fetchall()

    result = explored(raced(spins, steps=20), explain=True)
    assert result.verdict is Verdict.INVALID
    assert {what(each)[1] for each in found(result).repeats} >= {"w0 SELECT"}
    assert result.counterexample is not None
    assert {each.number for each in found(result).repeats} <= set(range(len(result.counterexample.steps)))
    first = said(result)[0]
    assert first.startswith("Worker 0 goes on for ever: it repeats ")
    assert "SELECT (test_explaining.py:" in first


@pytest.mark.parametrize("error", [Unexplained("no reason"), HarnessError("a worker is gone")])
def test_what_goes_wrong_takes_nothing_from_the_failure(error: HarnessError, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdict and the counterexample are as without it; why there is no explanation is said."""

    def fail(self: object, plan: object) -> None:
        raise error

    without = explored(LOST_UPDATE, explain=False)
    assert (without.explanation, without.unexplained) == (None, "")
    monkeypatch.setattr(explaining._Explainer, "_run", fail)
    result = explored(LOST_UPDATE, explain=True)
    assert (result.verdict, result.explanation, result.unexplained) == (Verdict.INVALID, None, str(error))
    assert result.counterexample is not None
    assert without.counterexample is not None
    assert result.counterexample.schedule == without.counterexample.schedule
