"""HTTP between clients and workers: the schedule carries the messages, and everything else is real."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.control.repeating.replays import replay
from harness.errors import BadInput
from harness.faults import Faults
from harness.saved.counterexample import Counterexample, load, save
from harness.scenario import Scenario
from harness.schedulers.tree.exhaustive import Exhaustive
from harness.verdict import Verdict
from tests.harness.counter import counts_to, executions, explored, prepared, reduced_and_brute
from tests.harness.web import application, post, served

pytestmark = [pytest.mark.forks, pytest.mark.slow]


def told(scenario: Scenario) -> set[str]:
    """Return everything that any client is told in any execution."""
    found = executions(scenario, Exhaustive())
    return {str(outcome.value) for execution in found for outcome in execution.history.outcomes() if outcome.ended}


def test_a_lost_update_between_requests_is_found() -> None:
    """Two requests that read and write back race, whichever workers they reach."""
    result = explored(served("/bump", at_end=(counts_to(2),)))
    assert result.verdict is Verdict.INVALID
    assert result.counterexample is not None
    assert result.counterexample.preemptions == 1


def test_requests_that_add_in_one_statement_are_right() -> None:
    """Every arrival order and every worker, and nothing is lost."""
    result = explored(served("/add", at_end=(counts_to(2),)))
    assert (result.verdict, result.complete) == (Verdict.VALID, True)


def test_a_request_reaches_any_worker() -> None:
    """The schedule decides which worker serves; of two that have served nobody only the first is tried."""
    found = executions(served("/add"), Exhaustive())
    served_by = {
        tuple(step.worker for step in execution.steps if step.kind == "request")
        for execution in found
        if not execution.abandoned
    }
    assert served_by == {(0, 0), (0, 1)}


def test_pruning_loses_no_outcome_of_messages() -> None:
    """The reduced search finds the outcomes that trying everything finds."""
    scenario = served("/add", clients=2)
    reduced, brute = reduced_and_brute(scenario, most=20_000)
    assert reduced == brute


@pytest.mark.parametrize("kind", ["lose", "duplicate", "kill"])
def test_pruning_loses_no_outcome_of_a_message_fault(kind: str) -> None:
    """Nor of a message that is lost or doubled, or of a worker that dies with it."""
    scenario = served("/add", clients=1, operation="insist", faults=Faults(most=1, **{kind: True}))  # type: ignore[arg-type]
    reduced, brute = reduced_and_brute(scenario, most=20_000)
    assert reduced == brute


def test_a_lost_answer_makes_a_retry_count_twice() -> None:
    """The client tries again after its time-out, though the work was done."""
    scenario = served("/add", clients=1, operation="insist", at_end=(counts_to(1),), faults=Faults(lose=True, most=1))
    result = explored(scenario)
    assert result.verdict is Verdict.INVALID
    assert result.counterexample is not None
    assert [step.kind for step in result.counterexample.steps if step.choice.startswith("!")] == ["lose"]


def test_a_lost_message_is_a_time_out() -> None:
    """The client hears nothing until its own time is over."""
    assert told(served("/add", clients=1, faults=Faults(lose=True, most=1))) == {
        "[200, '{\"done\": true}']",
        "ReadTimeout",
    }


def test_a_killed_worker_closes_its_connections() -> None:
    """The client of a worker that dies is told so at once."""
    answers = told(served("/add", clients=1, faults=Faults(kill=True, most=1)))
    assert answers == {"[200, '{\"done\": true}']", "RemoteProtocolError"}


def test_a_doubled_request_is_served_twice() -> None:
    """And only one answer is heard."""
    result = explored(served("/add", clients=1, at_end=(counts_to(1),), faults=Faults(duplicate=True, most=1)))
    assert result.verdict is Verdict.INVALID


def test_a_handler_goes_on_when_its_client_has_given_up() -> None:
    """As under a server: what it does later counts."""
    scenario = served("/slow", clients=1, at_end=(counts_to(1),))
    result = explored(scenario)
    assert result.verdict is Verdict.VALID
    assert told(scenario) == {"ReadTimeout"}


def test_an_application_that_listens_hears_that_its_client_has_left() -> None:
    """``receive`` gives ``http.disconnect`` when the client has given up."""
    scenario = served("/left", clients=1)
    found = executions(scenario, Exhaustive())
    assert any(step.kind == "disconnect" for execution in found for step in execution.steps)


def test_an_application_that_raises_answers_500() -> None:
    """As a server does for it; and the step says what was raised."""
    found = executions(served("/broken", clients=1, expected_errors=("ValueError",)), Exhaustive())
    assert {str(execution.history.outcomes()[0].value) for execution in found} == {"[500, 'Internal Server Error']"}
    assert any("ValueError: broken" in step.error for step in found[0].steps)


def test_a_race_over_http_replays_from_a_file(tmp_path: Path) -> None:
    """A counterexample with messages and faults is saved, loaded and repeated."""
    scenario = served("/add", clients=1, operation="insist", at_end=(counts_to(1),), faults=Faults(lose=True, most=1))
    path = save(Counterexample.of(explored(scenario)), tmp_path)
    again = replay(scenario, load(path), times=5)
    assert (again.verdict, again.failed_again) == (Verdict.INVALID, 5)


def test_an_app_opens_what_it_needs_itself() -> None:
    """A scenario with both ``app`` and ``open`` is refused."""
    with pytest.raises(BadInput, match="lifespan"):
        Scenario(
            name="both",
            setup=prepared(),
            app=application,
            open=application,
            operations={"post": post},
            workload=served("/add").workload,
        )
