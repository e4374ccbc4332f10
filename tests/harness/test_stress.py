"""``harness stress``: the same scenario uncontrolled, its rules held against every turn, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.cli.main import main
from harness.errors import BadInput
from harness.reports.text.stress_lines import stress_report
from harness.scenario import Check, Scenario, Workload
from harness.stress import server
from harness.stress.judging import happened, outcomes, violations
from harness.stress.result import Stressed, Violation
from harness.stress.running import stress
from harness.values.history import Event, History
from harness.verdict import Verdict

SCENARIO = "add-agent-over-http"
PATIENCE = 30.0


def servers() -> set[int]:
    """Return the processes that serve a stress run."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if b"harness.stress.serve" in command:
            found.add(int(entry.name))
    return found


@pytest.mark.forks
@pytest.mark.slow
def test_the_reference_is_seen_to_break_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Workers are killed, clients go away, everybody is answered in the end, and the server ends when it is told to."""
    # On a busy machine a short run may show too little, which is unknown; then a longer one must do.
    for seconds in ("4", "12", "36"):
        arguments = ["--time", seconds, "--workers", "2", "--clients", "4", "--kill-every", "0.7", "--json"]
        code = main(["stress", SCENARIO, *arguments])
        said = json.loads(capsys.readouterr().out)
        if code != 3 or not all("happened in no turn" in reason for reason in said["reasons"]):
            break
    assert (code, said["verdict"], said["violations"], said["reasons"]) == (0, "valid", [], [])
    assert said["kills"] >= 2
    assert said["turns"] > 0
    assert said["given_up"] > 0
    assert said["happened"]["an answer was replayed"] > 0
    assert said["controlled"] is None
    assert not servers()


@pytest.mark.forks
@pytest.mark.slow
def test_of_a_variant_it_says_how_often_beside_the_controlled_search(capsys: pytest.CaptureFixture[str]) -> None:
    """The violations are counted by turn, and the search's first failing execution stands beside them."""
    arguments = ["--variant", "r01-get-then-set", "--time", "2", "--workers", "2", "--kill-every", "0"]
    code = main(["stress", SCENARIO, *arguments])
    said = " ".join(capsys.readouterr().out.split())
    assert code == 1
    assert "ONCE one agent per key: broken in" in said
    assert "0 workers killed" in said
    assert "fails first in execution 1" in said


@pytest.mark.forks
@pytest.mark.slow
def test_nothing_outlives_a_killed_run() -> None:
    """The server and its workers die with the command that started them."""
    before = servers()
    command = [sys.executable, "-m", "harness", "stress", SCENARIO, "--time", "60", "--workers", "2"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + PATIENCE
        while not servers() - before:
            assert time.monotonic() < deadline, "no server was started"
            time.sleep(0.05)
        (server,) = servers() - before
        while not (workers := _children(server)):
            assert time.monotonic() < deadline, "no worker was started"
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    while [pid for pid in (server, *workers) if _alive(pid)]:
        assert time.monotonic() < deadline, "something was left behind"
        time.sleep(0.05)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text() and os.path.exists(f"/proc/{pid}")
    except OSError:
        return False


@pytest.mark.parametrize(("scenario", "said"), [("keyed-plain", "no 'app' and no 'turns'"), ("nobody", "no scenario")])
def test_what_cannot_be_stressed_is_refused(scenario: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and what is missing."""
    assert main(["stress", scenario, "--time", "1"]) == 2
    assert said in capsys.readouterr().err


def test_a_server_that_does_not_start_is_an_error_with_its_reason() -> None:
    """What it wrote is shown, and nothing hangs."""
    scenario = registry.find(SCENARIO)
    with pytest.raises(BadInput, match="There is no scenario 'misspelt'"):
        stress(scenario, "misspelt", workers=2, seconds=1.0)


# -- judging -------------------------------------------------------------------------------------------------


def turn(*ends: tuple[str, Any, str]) -> list[Event]:
    """Return the events of a turn whose calls ended like this: kind, value, error."""
    events = []
    for number, (kind, value, error) in enumerate(ends):
        client = f"c{number}"
        events += [
            Event("invoke", client, 0, -1, "add", ("x",), 2 * number, 0.0),
            Event(kind, client, 0, -1, "add", ("x",), 2 * number + 1, 0.0, value, error),
        ]
    return events


OK, BAD = ("ok", {"status": 201}, ""), ("ok", {"status": 500}, "")


def judged(**fields: Any) -> Scenario:
    """Return a scenario with these rules and nothing else."""
    nothing: Callable[..., Any] = lambda *_: None  # noqa: E731
    return Scenario(
        name="made-up", setup=nothing, operations={"add": nothing}, workload=lambda _: Workload(()), **fields
    )


def no_500(history: History, _: Path) -> None:
    """Nobody is answered 500."""
    if any(event.value == {"status": 500} for event in history):
        raise AssertionError("a 500")


def test_a_rule_is_counted_by_turn_and_the_first_message_kept(tmp_path: Path) -> None:
    """Two of three turns break it."""
    scenario = judged(postconditions=(Check("no 500", no_500),))
    found = violations(scenario, [turn(OK), turn(BAD), turn(OK, BAD)], tmp_path / "db")
    assert found == (Violation("no 500", 2, "a 500"),)


def test_an_unexpected_exception_is_a_violation_and_an_expected_one_is_not(tmp_path: Path) -> None:
    """As under control."""
    turns = [turn(("fail", "boom", "ValueError"))]
    (found,) = violations(judged(), turns, tmp_path / "db")
    assert (found.turns, found.message) == (1, "c0: add raised ValueError: boom")
    assert not violations(judged(expected_errors=("ValueError",)), turns, tmp_path / "db")
    assert not violations(judged(raising_fails=False), turns, tmp_path / "db")


def test_the_state_is_judged_as_a_whole(tmp_path: Path) -> None:
    """An invariant is asked once, of the files that were left."""
    asked: list[Path] = []
    scenario = judged(invariants=(Check("never", lambda db: asked.append(db) or False),))
    assert violations(scenario, [turn(OK), turn(OK)], tmp_path / "db") == (Violation("never", 0, "it returned False"),)
    assert asked == [tmp_path / "db"]


def test_what_must_happen_is_counted_by_turn(tmp_path: Path) -> None:
    """What asks the history is asked of each turn; what asks the state, once."""
    seen = Check("a 500", lambda history, _: any(event.value == {"status": 500} for event in history))
    scenario = judged(must_happen=(seen, Check("there", lambda db: db.exists())))
    assert happened(scenario, [turn(OK), turn(BAD), turn(BAD)], tmp_path / "db") == {"a 500": 2, "there": 0}


def test_outcomes_are_counted_by_status_or_error() -> None:
    """Statuses, errors and clients that went away."""
    turns = [turn(OK, ("fail", "", "KeyError"), ("info", None, "")), turn(OK, ("ok", 3, ""))]
    assert outcomes(turns) == {"status 201": 2, "KeyError": 1, "client went away": 1, "returned": 1}


# -- the report ----------------------------------------------------------------------------------------------

RUN = Stressed("s", "", 4, 8, 0, turns=10, calls=40, given_up=3, kills=2, seconds=2.0, outcomes={"status 201": 40})


def test_a_verdict_follows_from_violations_and_reasons() -> None:
    """A violation beats a reason, a reason beats nothing."""
    broken = replace(RUN, violations=(Violation("R", 3, "why"),), reasons=("because",))
    assert broken.verdict is Verdict.INVALID
    assert replace(RUN, reasons=("because",)).verdict is Verdict.UNKNOWN
    assert RUN.verdict is Verdict.VALID


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_report_fits_and_says_how_often(width: int) -> None:
    """Rates, kills, and each rule with its share of the turns."""
    violations = Violation("R", 3, "why " * 30), Violation("W", 0, "whole")
    report = stress_report(replace(RUN, violations=violations), width=width)
    assert max(map(len, report.splitlines())) <= width
    said = " ".join(report.split())
    assert "(20 calls/s)" in said
    assert "R: broken in 3 of 10 turns." in said
    assert "W: broken by what was left." in said


def test_a_pass_claims_nothing() -> None:
    """An uncontrolled run proves nothing, and says so."""
    assert "proves nothing" in " ".join(stress_report(RUN).split())
    assert "not a pass" in " ".join(stress_report(replace(RUN, reasons=("because",))).split())


@pytest.mark.parametrize(("found", "said"), [(None, "there is none"), ("0.34.2", "there is 0.34.2")])
def test_without_uvicorn_the_extra_is_named(found: str | None, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is too old."""

    def version(_: str) -> str:
        if found is None:
            raise server.PackageNotFoundError
        return found

    monkeypatch.setattr(server, "version", version)
    with pytest.raises(BadInput, match=rf"needs uvicorn 0.51 or newer; {said}.*race-harness\[stress\]"):
        server.Server("scenario", "", Path("db"), workers=1)
