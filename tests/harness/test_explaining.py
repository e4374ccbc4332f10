"""Explanations of real races: the window's lines, the pair that decides, the fault that it takes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harness import registry
from harness.control import explaining
from harness.control.explaining import Unexplained
from harness.control.theatre import theatre
from harness.errors import HarnessError
from harness.explain import Explanation, Named
from harness.result import Result
from harness.schedulers.exhaustive import Exhaustive
from harness.schedulers.replay import Replay
from harness.verdict import Verdict
from reports.explanation import sentences
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
    with theatre(LOST_UPDATE, 2) as stage:
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
    with theatre(scenario, scenario.workers) as stage:
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


def test_what_never_ends_is_not_explained() -> None:
    """It is not made small either; the reason is given."""

    def spins(db: Path) -> None:
        with closing(sqlite3.connect(db)) as connection:
            while True:
                connection.execute("UPDATE t SET n = n + 1").fetchall()

    result = explored(raced(spins, steps=20), explain=True)
    assert (result.verdict, result.explanation) == (Verdict.INVALID, None)
    assert result.unexplained.startswith("An endless execution")


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
