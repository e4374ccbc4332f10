"""The report as a value: what is decided before anything is drawn, held to by equality."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness.checks.linearizability import Operation, check
from harness.checks.specs import ONE_ACTIVE
from harness.reports.lanes import MOST_LANES, Lane
from harness.reports.messages import Blocked, Message
from harness.reports.orders import Order, OrderedCall, Orders, Placed, orders_of
from harness.reports.report import RaceWindow, ReportStep, Role, Told, as_data, report_of
from harness.result import Failure
from harness.values.history import Access
from harness.values.tables import Changed, Row, TablesAt
from tests.reports.made_up import CASES, blocked, counterexample, event, explained, killed, step
from tests.reports.made_up_http import marked_up, over_http


def test_a_step_has_all_that_is_known_of_it() -> None:
    """Lane, statement, parameters, source, accesses in words, marks, and what came of it."""
    report = report_of(replace(blocked(), explanation=explained()))
    assert report.steps[6] == ReportStep(
        number=6,
        lane=0,
        worker=0,
        choice="w0:c0",
        kind="sql",
        text="INSERT INTO tokens (id, agent, secret_hash, issued_at) VALUES (?, ?, ?, ?)",
        parameters="('1c02b9da66b1e3ee', 'alpha', 'b1946ac9', 1700000000.0)",
        file="/made/up/tokens.py",
        line=95,
        function="issue",
        caller="",
        now=0.0,
        touches=("reads db.sqlite",),
        does="reads",
        state="",
        error="",
        marks=("closes 1",),
        told=(),
        rows_of=None,
        place="tokens.py:95",
    )
    assert report.steps[13].marks == ("violation",)
    assert report.steps[13].told == ("c1 is told: issue returned {'id': '244ca48da4ca40de', 'agent': 'alpha'}",)
    assert report.steps[3].marks == ("preempts",)
    assert (report.violation, report.preemptions, report.faults) == (13, 2, ())


def test_there_is_a_lane_for_each_task_of_each_worker() -> None:
    """Sorted by worker and by task; a task that a call started has one of its own."""
    report = report_of(blocked())
    assert report.lanes == (
        Lane(0, "c0", "worker", "worker 0"),
        Lane(0, "c0/1", "worker", "worker 0"),
        Lane(1, "c1", "worker", "worker 1"),
    )
    assert [each.lane for each in report.steps] == [0, 0, 0, 2, 2, 2, 0, 0, 2, 2, 1, 1, 1, 2]


def test_many_tasks_of_one_client_share_a_lane() -> None:
    """Where there would be too many lanes, each client has one in each worker."""
    steps = [step(f"w0:c{n % 2}/{n}", "sql", "SELECT 1") for n in range(MOST_LANES + 1)]
    report = report_of(counterexample(steps, [], Failure("invariant", "rule", "", 0)))
    assert [lane.task for lane in report.lanes] == ["c0", "c1"]
    assert {each.lane for each in report.steps} == {0, 1}


def test_a_lane_may_have_any_name() -> None:
    """A number of thousands of digits is sorted like any other text."""
    steps = [step(f"w0:c0/{name}", "sql", "SELECT 1") for name in ("9" * 5000, "10", "9", "x")]
    report = report_of(counterexample(steps, [], Failure("invariant", "rule", "", 0)))
    assert [len(lane.task) for lane in report.lanes] == [4, 5, 4, 5003]


def test_waits_are_spans_with_an_end() -> None:
    """From the step that met the lock to the one that got it, or gave up."""
    assert report_of(blocked()).blocked == (Blocked(2, 5, 8, "went on"), Blocked(1, 10, 12, "gave up"))


def test_a_wait_may_end_with_the_worker_or_not_at_all() -> None:
    """The kill of its worker ends it; else it lasts to the end."""
    steps = [
        step("w0:c0", "sql", "BEGIN", waited=True),
        step("w1:c1", "sql", "BEGIN", waited=True),
        step("w0:", "kill", "SIGKILL")._replace(choice="!kill:w0"),
    ]
    report = report_of(counterexample(steps, [], Failure("deadlock", "every call ends", "", 2)))
    assert report.blocked == (Blocked(0, 0, 2, "killed"), Blocked(1, 1, None, "still waiting"))


def test_a_fault_has_no_lane_and_its_call_an_unknown_end() -> None:
    """A kill befalls a whole worker; what the client is told is that nobody knows."""
    report = report_of(killed())
    assert (report.faults, report.steps[2].lane, report.steps[2].marks) == ((2,), None, ("fault",))
    assert report.told == (
        Told("c0", 0, "issue('alpha')", "info", "nobody knows whether it happened", 0, 2),
        Told("c1", 1, "issue('alpha')", "fail", "OperationalError: disk I/O error", 3, 4),
    )


def test_messages_go_from_lane_to_lane() -> None:
    """Sent, arrived; doubled by a fault; lost by one; an answer that a worker's death made; one still on its way."""
    report = report_of(over_http())
    names = [lane.name for lane in report.lanes]
    assert names == ["client c0", "client c1", "w0 c0#1", "w0 c0#1/1", "w1 c1#1", "w1 c1#1b"]
    assert report.messages == (
        Message("request", "c0#1", "POST /tokens {}", 0, 0, 1, 2, "arrived"),
        Message("request", "c1#1", "POST /tokens", 3, 1, 6, 4, "arrived"),
        Message("request", "c1#1b", "POST /tokens", 4, 1, 5, 5, "arrived"),
        Message("answer", "c0#1", "201 {}", 7, 2, 8, 0, "arrived"),
        Message("answer", "c1#1", "connection closed", 9, 4, 10, 1, "arrived"),
        Message("request", "c1#2", "the request", 11, 1, 12, None, "lost"),
    )
    unsent = report_of(replace(over_http(), steps=over_http().steps[:12]))
    assert unsent.messages[-1] == Message("request", "c1#2", "", 11, 1, None, None, "on its way")


def test_the_race_window_has_its_roles_by_number() -> None:
    """Opens, intrudes, closes; the lane is that of the interrupted task; and why, in sentences."""
    report = report_of(replace(blocked(), explanation=explained()), command="harness replay x.json")
    assert report.windows == (
        RaceWindow(
            3,
            True,
            0,
            Role(1, "SELECT", "tokens.py:88"),
            Role(9, "INSERT INTO", "tokens.py:95"),
            Role(6, "INSERT INTO", "tokens.py:95"),
        ),
    )
    assert report.why[0] == (
        "Worker 1's INSERT (tokens.py:95) fell between worker 0's SELECT (tokens.py:88) and its INSERT (tokens.py:95)."
    )
    assert report.command == "harness replay x.json"
    assert report.passing == "w1:c1 w0:c0"


def test_a_fetch_names_the_statement_whose_rows_it_fetches() -> None:
    """The last statement of the same task, not that of another."""
    steps = [step("w0:c0", "sql", "SELECT 1"), step("w1:c1", "sql", "SELECT 2"), step("w0:c0", "fetch", "fetchall")]
    report = report_of(counterexample(steps, [], Failure("invariant", "rule", "", 2)))
    assert [each.rows_of for each in report.steps] == [None, None, 0]


@pytest.mark.parametrize(
    ("access", "words"),
    [
        (Access("data:db.sqlite", "w"), "writes db.sqlite"),
        (Access("lock:db.sqlite", "w"), "writes the lock of db.sqlite"),
        (Access("process:1", "w"), "writes the memory of worker 1"),
        (Access("clock", "r"), "reads the clock"),
        (Access("history", "o"), "a call ends"),
        (Access("*", "w"), "writes everything"),
        (Access("request:c0#1", "w"), "writes request c0#1"),
    ],
)
def test_what_a_step_touched_is_said_in_words(access: Access, words: str) -> None:
    """Each kind of resource by what it is."""
    made = counterexample([step("w0:c0", "sql", "x", accesses=(access,))], [], Failure("error", "E", "", 0))
    assert report_of(made).steps[0].touches == (words,)


def test_where_the_rule_broke_may_be_no_step() -> None:
    """A rule that is broken before the first step has no place among them."""
    made = counterexample([step("w0:c0", "sql", "x")], [event("invoke", 0, 0)], Failure("at end", "rule", "", -1))
    report = report_of(made)
    assert (report.violation, report.steps[0].marks) == (None, ())
    assert report.told[0].kind == "pending"


def test_changed_columns_come_first() -> None:
    """After the first column, which mostly tells rows apart; marks and cells move together."""
    before = (Row(("1", "a", "x"), (2,)),)
    after = (Row(("1", "a", "y"), (2,)), Row(("2", "b", "z"), lone=True))
    table = Changed("db.sqlite", "t", ("id", "name", "state"), before, after, 1, 2)
    (at,) = report_of(blocked(), tables=[TablesAt(7, (table,))]).tables
    assert at.tables[0].columns == ("id", "state", "name")
    assert at.tables[0].before == (Row(("1", "x", "a"), (1,)),)
    assert at.tables[0].after == (Row(("1", "y", "a"), (1,)), Row(("2", "z", "b"), lone=True))


def test_the_orders_that_came_furthest_are_shown() -> None:
    """Calls over time; what was placed with the states between; what could not be, where none is left."""
    calls = [
        Operation("c0", "issue", ("alpha",), "t1", 0, 1),
        Operation("c0", "get_active", ("alpha",), None, 2, 5),
        Operation("c1", "rotate", ("alpha",), "t2", 3, 4),
    ]
    assert orders_of(check(calls, ONE_ACTIVE)) == Orders(
        spec="one active token per subject",
        partition="'alpha'",
        initial=ONE_ACTIVE.describe(ONE_ACTIVE.initial),
        calls=(
            OrderedCall("c0", "c0 issue('alpha') -> 't1'", 0, 1),
            OrderedCall("c0", "c0 get_active('alpha') -> None", 2, 5),
            OrderedCall("c1", "c1 rotate('alpha') -> 't2'", 3, 4),
        ),
        orders=(Order((Placed(0, "'t1'"), Placed(2, "'t2'")), "'t2'", 1, ()),),
    )
    assert orders_of(check(calls[:1], ONE_ACTIVE)) is None


@pytest.mark.parametrize("name", [*CASES, "http", "marked up"])
def test_every_report_is_plain_data(name: str) -> None:
    """It comes back from JSON, every step and lane of it."""
    made = {"http": over_http, "marked up": lambda: marked_up()[0], **CASES}[name]()
    data = json.loads(json.dumps(as_data(report_of(made)), allow_nan=False))
    assert [each["text"] for each in data["steps"]] == [each.text for each in made.steps]
    assert [lane["name"] for lane in data["lanes"]] == [lane.name for lane in report_of(made).lanes]
