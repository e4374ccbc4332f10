"""What a run says it covered: counts against executions made by hand, bounds against arithmetic, limits never a pass."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.control.run import run
from harness.coverage.call_sites import unreached
from harness.coverage.collector import Survey
from harness.faults import Faults
from harness.reports.text.summary import summary
from harness.result import Execution, Result
from harness.scenario import Call, Check, Client, Workload
from harness.schedulers.base import View
from harness.schedulers.pct import PCT, survival
from harness.schedulers.portfolio import Portfolio
from harness.schedulers.tree.exhaustive import Exhaustive
from harness.values.history import Event, History, Source, Step
from harness.verdict import Verdict
from tests.harness.counter import counts_to, executions_of_each, raced
from tests.harness.made_steps import step
from tests.harness.sync_programs import autocommit, no_timeout, returning

A, B = step("w0:c0", "a", "w data:x"), step("w1:c1", "b", "w data:x")
APART = step("w1:c1", "c", "w data:y")


def execution(*steps: Step, told: object = None, **more: Any) -> Execution:
    """Return an execution of *steps* in which one client was told *told*."""
    event = Event("ok", "c0", 0, 0, "op", (), len(steps), 0.0, told)
    return Execution(Workload(()), 0, steps, History((event,)), **more)


def surveyed(*made: Execution) -> Survey:
    """Return a survey that has counted *made*."""
    survey = Survey()
    for each in made:
        survey.count(each)
    return survey


# --- what was seen --------------------------------------------------------------------------------


def test_the_order_of_independent_steps_makes_no_difference() -> None:
    """Executions that differ in it alone are one interleaving; in that of a conflict, two."""
    assert surveyed(execution(A, APART), execution(APART, A)).coverage().interleavings == 1
    assert surveyed(execution(A, B), execution(B, A)).coverage().interleavings == 2
    readers = step("w0:c0", "r", "r data:x"), step("w1:c1", "r", "r data:x")
    assert surveyed(execution(*readers), execution(*readers[::-1])).coverage().interleavings == 1


def test_the_real_time_order_of_calls_is_part_of_an_interleaving() -> None:
    """Two invocations commute, an outcome and an invocation do not."""
    invoked, other = step("w0:c0", "call", "i history"), step("w1:c1", "call", "i history")
    ended = step("w1:c1", "end", "o history")
    assert surveyed(execution(invoked, other), execution(other, invoked)).coverage().interleavings == 1
    assert surveyed(execution(invoked, ended), execution(ended, invoked)).coverage().interleavings == 2


def test_what_conflicts_with_everything_is_ordered_with_everything() -> None:
    """The death of a worker, say."""
    death = step("w1:c1", "dies", "w *")
    assert surveyed(execution(A, death), execution(death, A)).coverage().interleavings == 2


@pytest.mark.forks
@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "kills", "again"), [(autocommit, 0, 0), (returning, 0, 0), (no_timeout, 0, 0), (returning, 1, 1)]
)
def test_the_search_makes_each_interleaving_once(program: Any, kills: int, again: int) -> None:
    """Trying everything shows no more than the reduced search, which has as many executions that end; but for a kill.

    A kill and a step that it does not depend on can come in both orders where the kill after the step was tried first.
    """
    scenario = raced(program, raising_fails=False, faults=Faults(kill=True, most=kills))
    reduced, brute = executions_of_each(scenario, Exhaustive(), Exhaustive(reduction=False))
    ended = [each for each in reduced if not each.abandoned]
    assert surveyed(*reduced).coverage().interleavings == len(ended) - again < len(brute)
    assert surveyed(*brute).coverage().interleavings == len(ended) - again


def test_pairs_are_seen_in_one_order_or_both() -> None:
    """Those of one order are named, the earlier operation first; steps of one client are no pair."""
    once = surveyed(execution(A, B)).coverage()
    assert (once.both_orders, once.one_order, once.only) == (0, 1, (("c0 a", "c1 b"),))
    twice = surveyed(execution(A, B), execution(B, A)).coverage()
    assert (twice.both_orders, twice.one_order, twice.only) == (1, 0, ())
    child = step("w0:c0/1", "child", "w data:x")
    assert surveyed(execution(A, child)).coverage().one_order == 0


def test_executions_since_anything_new_are_counted() -> None:
    """A pair, its other order, an answer and a state are new, each once."""
    survey = Survey()
    since = []
    for made in (
        execution(A, B), execution(A, B), execution(B, A), execution(A, B), execution(A, B, told=2),
        execution(A, B, states=(5,)), execution(A, B, states=(5,)), execution(A, APART, B),
    ):  # fmt: skip
        survey.count(made)
        since.append(survey.since_new)
    assert since == [0, 1, 0, 1, 0, 0, 1, 2]
    assert (survey.coverage().answers, survey.coverage().states) == (2, 1)


def test_what_was_abandoned_is_no_interleaving() -> None:
    """Its pairs were seen all the same."""
    coverage = surveyed(execution(A, B, abandoned=True)).coverage()
    assert (coverage.interleavings, coverage.answers, coverage.one_order) == (0, 0, 1)


# --- what was not ---------------------------------------------------------------------------------


def test_calls_never_made_are_named() -> None:
    """Those of the workload that no execution invoked."""
    workload = Workload((Client((Call("op"), Call("later", (1,)))),))
    made = Execution(workload, 0, (A,), History((Event("invoke", "c0", 0, 0, "op", (), 0, 0.0),)))
    survey = surveyed(made, made)
    assert survey.coverage().uncalled == ("c0: later(1)@w0",)
    survey.count(Execution(workload, 0, (A,), History((Event("invoke", "c0", 1, 0, "later", (1,), 0, 0.0),))))
    assert survey.coverage().uncalled == ()


def test_places_where_no_fault_struck_are_named() -> None:
    """A place is the operation before it, with the kind of fault."""
    killed = step("!kill:w0", "SIGKILL", "w process:0", kind="kill")
    chances = (("kill", ""), ("kill", "sql a"), ("busy", "sql a"))
    coverage = surveyed(execution(A, killed, B, chances=chances)).coverage()
    assert (coverage.fault_places, coverage.faults_tried) == (3, 1)
    assert coverage.untried == ("kill after nothing", "busy after sql a")


SOURCE = """
def pay(db):
    db.execute("BEGIN")
    try:
        db.execute(
            "UPDATE accounts"
        )
        note(db, 1)
    except Exception:
        db.rollback()
        note(db, 2)
        print("undone")
        raise
    def later():
        db.commit()
    db.commit()

def never(db):
    db.execute("DELETE FROM accounts")
"""


def test_calls_that_no_execution_reached_are_named(tmp_path: Path) -> None:
    """In functions that ran: what looks like a statement, and calls of what led to one; nothing that is not there is read."""
    file, helper = tmp_path / "pay.py", tmp_path / "notes.py"
    file.write_text(SOURCE)
    helper.write_text("def note(db, n):\n    db.execute('INSERT')\n")
    seen = [Source(str(file), line, "pay") for line in (3, 5, 16)]
    assert unreached([*seen, Source(str(helper), 2, "note", "pay.py:8")]) == ["pay.py:10 rollback", "pay.py:11 note"]
    assert unreached(seen) == ["pay.py:10 rollback"]
    file.write_text("def pay(:")
    assert unreached([*seen, Source("/not/there.py", 1, "f"), Source("<string>", 1, "f")]) == []


# --- what is left ---------------------------------------------------------------------------------


def test_the_chance_to_escape_is_the_papers() -> None:
    """(1 - 1 / (n * k ** (d - 1))) ** m, over the executions of at least that depth, by their own depth."""
    assert survival(2, 10, 2, made={2: 1}) == pytest.approx(1 - 1 / 20)
    assert survival(2, 10, 2, made={2: 30}) == pytest.approx((1 - 1 / 20) ** 30)
    assert survival(2, 10, 1, made={1: 3, 2: 5}) == pytest.approx((1 - 1 / 2) ** 3 * (1 - 1 / 20) ** 5)
    assert survival(2, 10, 2, made={1: 1_000}) == 1.0, "lower depths promise nothing"
    assert survival(2, 10, 3, made={}) == 1.0
    assert survival(1, 10, 1, made={1: 1}) == 0.0


def test_pct_promises_nothing_of_what_it_did_not_control() -> None:
    """Executions with a fault, given up, cut or longer than what change points were drawn over do not count."""
    pct = PCT(0, depth=2)
    pct.start(None)
    pct.start(execution(*[A] * 30))
    assert pct.pct == {}, "it drew change points over 20 steps"
    for more in ({"abandoned": True}, {"bounded": True}, {"stuck": "it is"}):
        pct.start(execution(A, **more))
    pct.start(execution(A, step("!kill:w0", "SIGKILL", kind="kill")))
    assert pct.pct == {}
    pct.start(execution(*[A] * 31))
    assert pct.pct == {}
    pct.start(execution(*[A] * 31))
    assert pct.pct == {2: 1}


def test_pct_lowers_whoever_takes_the_step_it_drew() -> None:
    """Also one that is alone at that step: its guarantee is about steps, not about decisions."""
    from harness.schedulers.base import Option

    one, two = Option("w0:c0", "c0"), Option("w1:c1", "c1")
    lowered = 0
    for seed in range(40):
        pct = PCT(seed, depth=2)
        pct.length = 1
        pct.start(None)
        pct.choose(View([one], []))
        lowered += pct.choose(View([one, two], [A])) == "w1:c1"
    assert lowered == 40


@pytest.mark.forks
def test_a_complete_run_leaves_no_chance() -> None:
    """Everything was seen, so no bug of any depth can have escaped."""
    result = run(raced(autocommit), scheduler="exhaustive", patience=2.0)
    assert result.complete
    assert (result.coverage.seen, result.coverage.residual) == (1.0, {1: 0.0, 2: 0.0, 3: 0.0})
    assert result.coverage.interleavings == 6


@pytest.mark.forks
def test_the_bound_comes_from_what_was_observed() -> None:
    """The number of tasks and the most steps seen, and executions that PCT made itself."""
    scenario = raced(autocommit, workers=4, faults=Faults(kill=True, most=2))
    # Of so large a tree little is seen in 60 executions, after which every other one is a sample.
    result = run(scenario, scheduler="portfolio", max_executions=130, patience=2.0)
    coverage = result.coverage
    assert not result.complete
    assert coverage.tasks == 4
    assert coverage.residual == {depth: survival(4, coverage.steps, depth, made=coverage.pct) for depth in (1, 2, 3)}
    assert 0 < sum(coverage.pct.values()) < 70 / 8 + 1
    assert 0 < coverage.residual[1] <= coverage.residual[2] < 1
    assert coverage.seen is not None
    assert coverage.seen < 1
    assert 0 < coverage.faults_tried <= coverage.fault_places
    walked = run(scenario, scheduler="random", max_executions=30, patience=2.0).coverage
    assert (walked.pct, walked.residual, walked.seen) == ({}, {1: 1.0, 2: 1.0, 3: 1.0}, None)


# --- limits ---------------------------------------------------------------------------------------


def spins(db: Path) -> None:
    """Ask twelve times, which takes more steps than the scenarios below allow."""
    with closing(sqlite3.connect(db)) as connection:
        for _ in range(6):
            connection.execute("UPDATE t SET n = n + 1 WHERE k = 1")
            connection.commit()


def not_complete(result: Result) -> bool:
    """Return whether *result* is valid and nowhere called complete."""
    text = summary(result).replace("Not complete", "")
    return result.verdict is Verdict.VALID and not result.complete and "omplete" not in text


@pytest.mark.forks
@pytest.mark.parametrize("scheduler", ["exhaustive", "portfolio", "random"])
def test_a_limit_on_steps_is_never_a_pass_in_full(scheduler: str) -> None:
    """Executions that a fair schedule had to end are counted, and the limit is named."""
    scenario = raced(spins, workers=1, steps=10)
    result = run(scenario, scheduler=scheduler, max_executions=3, patience=2.0)
    assert not_complete(result)
    assert result.coverage.bounded > 0
    assert result.bound == ("10 steps in one execution" if scheduler == "exhaustive" else "3 executions")
    assert result.coverage.residual[1] > 0


@pytest.mark.forks
def test_a_limit_that_only_a_sample_hit_counts_too() -> None:
    """The exhaustive search has ended, but somebody was cut short."""

    class OnceTooLong(Portfolio):
        """Says that there was nothing else, as the search within it does."""

        complete = True  # type: ignore[assignment]

        def start(self, previous: Execution | None) -> bool:
            """Begin one execution."""
            return previous is None and super().start(previous)

    result = run(raced(spins, workers=1, steps=10), scheduler=OnceTooLong(0), patience=2.0)
    assert not_complete(result)
    assert result.bound == "10 steps in one execution"


@pytest.mark.forks
@pytest.mark.parametrize("limit", [{"max_executions": 5}, {"seconds": 0.001}, {"stop_after": 2}, {"preemptions": 0}])
def test_no_limit_is_called_complete(limit: dict[str, Any]) -> None:
    """Neither in the result nor in words: executions, time, nothing new, preemptions."""
    result = run(raced(autocommit, workers=3), scheduler="exhaustive", patience=2.0, **limit)
    assert not_complete(result)
    assert result.bound or result.within
    assert "complete)" not in repr(result)
    assert max(result.coverage.residual.values()) == 1.0


@pytest.mark.forks
def test_a_scheduler_that_just_ends_has_not_covered_everything() -> None:
    """Who does not say that all was covered has met a limit of its own, not that on steps."""
    from harness.schedulers.replay import Replay
    from harness.values.schedule import Schedule

    replay = Replay(Schedule.of(["w0:c0"]), times=2, lenient=True)
    result = run(raced(autocommit), scheduler=replay, patience=2.0)
    assert not_complete(result)
    assert result.bound == "what its scheduler had to try"


@pytest.mark.forks
def test_a_search_that_has_one_branch_left_has_not_seen_all() -> None:
    """A branch that was only begun is not taken for seen."""
    every = run(raced(autocommit), scheduler="exhaustive", patience=2.0).executions
    search = Exhaustive()
    result = run(raced(autocommit), scheduler=search, max_executions=every - 1, patience=2.0)
    assert not result.complete
    assert not search.complete
    assert result.coverage.seen is not None
    assert result.coverage.seen < 1.0


@pytest.mark.forks
def test_a_failing_run_says_what_it_covered() -> None:
    """Up to the failure; repeating and shrinking it count for nothing."""
    result = run(raced(autocommit, at_end=(counts_to(2),)), patience=2.0)
    assert result.verdict is Verdict.INVALID
    assert result.coverage.interleavings <= result.executions
    assert result.coverage.residual[1] == 1.0


@pytest.mark.forks
def test_states_are_seen_where_rules_look() -> None:
    """After each change where there are invariants, in the end where there are only rules for it, else never."""
    always, never = Check("always", lambda _: True), raced(autocommit)
    counted = [
        run(scenario, scheduler="exhaustive", patience=2.0).coverage.states
        for scenario in (never, raced(autocommit, at_end=(always,)), raced(autocommit, invariants=(always,)))
    ]
    assert counted[0] == 0 < counted[1] < counted[2]
