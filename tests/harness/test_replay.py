"""A saved counterexample is evidence: it fails again, anywhere, each time; or says where the program has changed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.control.repeating.replays import replay
from harness.control.run import run
from harness.errors import Diverged
from harness.project import config
from harness.saved.counterexample import Counterexample, load, save
from harness.schedulers.base import Option, View
from harness.schedulers.replay import Replay
from harness.values.schedule import Schedule
from harness.verdict import Verdict
from scenarios import ALL
from tests.harness.counter import counts_to, explored, raced
from tests.harness.made_steps import step
from tests.harness.sync_programs import READ, WRITE, plainly

VARIANTS = [("issue-token", "t01-check-then-insert"), ("create-agent-retry-wal", "r02-select-then-put")]


@pytest.mark.forks
@pytest.mark.slow
@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_a_counterexample_fails_again_a_hundred_times_elsewhere(name: str, variant: str, tmp_path: Path) -> None:
    """Saved, copied and replayed by another process: 100 of 100."""
    scenario = next(scenario for scenario in ALL if scenario.name == name).variants[variant]
    saved = save(Counterexample.of(run(scenario)), tmp_path / "here")
    elsewhere = tmp_path / "else where" / "kept.json"
    elsewhere.parent.mkdir()
    shutil.move(saved, elsewhere)
    reference = f"scenarios:ALL.{name}"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "harness",
            "replay",
            str(elsewhere),
            "--scenario",
            reference,
            "--times",
            "100",
            "--json",
        ],
        cwd=elsewhere.parent,
        env=config.child_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert (told["times"], told["failed_again"], told["verdict"], told["divergence"]) == (100, 100, "invalid", None)


def worker(read: str = READ, write: str = WRITE, before: str = "", more: int = 1) -> Any:
    """Return a program that reads and writes back; the parameters are what may change in it."""

    def counts(db: Path) -> None:
        with plainly(db) as connection:
            if before:
                connection.execute(before)
            (n,) = connection.execute(read).fetchone()
            for _ in range(more):
                connection.execute(write, (n + 1,))

    return counts


@pytest.fixture(scope="module")
def recorded() -> Counterexample:
    """The lost update of the original program."""
    return Counterexample.of(explored(raced(worker(), at_end=(counts_to(2),))))


@pytest.mark.forks
def test_a_counterexample_survives_a_file(recorded: Counterexample, tmp_path: Path) -> None:
    """What was loaded is replayed as well as what was saved."""
    again = replay(raced(worker(), at_end=(counts_to(2),)), load(save(recorded, tmp_path)), times=3, patience=2.0)
    assert (again.verdict, again.failed_again, again.divergence) == (Verdict.INVALID, 3, "")


CHANGED = {
    "other SQL": worker(read="SELECT n FROM t WHERE +k = 1"),
    "one statement more at the start": worker(before="SELECT 1 FROM t"),
    "one statement more at the end": worker(more=2),
}


@pytest.mark.forks
@pytest.mark.parametrize(
    "change",
    [
        *CHANGED,
        pytest.param(
            "one statement less",
        ),
    ],
)
def test_a_changed_program_is_unknown_and_says_where(change: str, recorded: Counterexample) -> None:
    """The verdict names the step, what was recorded there and what there is now."""
    again = replay(raced(CHANGED.get(change, worker(more=0)), at_end=(counts_to(2),)), recorded, patience=2.0)
    assert (again.verdict, again.failed_again) == (Verdict.UNKNOWN, 0)
    assert "departs from the recording at step " in again.divergence
    assert "recorded: " in again.divergence
    assert "now: " in again.divergence


@pytest.mark.forks
def test_a_rule_that_holds_now_is_valid(recorded: Counterexample) -> None:
    """The same steps, and the failure is gone."""
    again = replay(raced(worker(), at_end=(counts_to(1),)), recorded, times=2, patience=2.0)
    assert (again.verdict, again.failed_again, again.divergence) == (Verdict.VALID, 0, "")


# --- the scheduler --------------------------------------------------------------------------------

STEPS = [step("w0:c0", "BEGIN"), step("w1:c1", "SELECT 1"), step("w0:c0", "COMMIT")]
SCHEDULE, DIGESTS = Schedule.of(each.choice for each in STEPS), [each.digest for each in STEPS]
BOTH = [Option("w0:c0", "c0"), Option("w1:c1", "c1")]


def test_the_recorded_choices_are_made() -> None:
    """One after the other, as long as what runs is what was recorded."""
    scheduler = Replay(SCHEDULE, DIGESTS)
    assert scheduler.start(None)
    assert [scheduler.choose(View(BOTH, STEPS[:number])) for number in range(3)] == list(SCHEDULE)


def test_what_ran_otherwise_is_noticed() -> None:
    """The step that differs is named, though the choice was the same."""
    scheduler = Replay(SCHEDULE, DIGESTS)
    scheduler.start(None)
    with pytest.raises(Diverged) as raised:
        scheduler.choose(View(BOTH, [STEPS[0], step("w1:c1", "SELECT 2")]))
    error = raised.value
    assert (error.step, error.expected, error.found) == (1, "w1:c1 sql SELECT 1", "w1:c1 sql SELECT 2")


def test_a_choice_that_cannot_be_made_is_noticed() -> None:
    """What was recorded, and what can run in its place."""
    scheduler = Replay(SCHEDULE, DIGESTS)
    scheduler.start(None)
    with pytest.raises(Diverged) as raised:
        scheduler.choose(View(BOTH[:1], STEPS[:1]))
    assert (raised.value.step, raised.value.expected) == (1, "w1:c1 sql SELECT 1")
    assert "what can: w0:c0" in raised.value.found


def test_an_execution_that_goes_on_is_noticed() -> None:
    """After the recorded end nothing more may run."""
    scheduler = Replay(SCHEDULE, DIGESTS)
    scheduler.start(None)
    with pytest.raises(Diverged) as raised:
        scheduler.choose(View(BOTH, STEPS))
    assert (raised.value.step, raised.value.expected) == (3, "the end of the execution")
    assert "w0:c0, w1:c1" in raised.value.found


def test_the_very_last_step_is_compared_too() -> None:
    """No choice follows it, so it is compared by request."""
    scheduler = Replay(SCHEDULE, DIGESTS)
    scheduler.start(None)
    scheduler.choose(View(BOTH, STEPS[:2]))
    with pytest.raises(Diverged) as raised:
        scheduler.compare([*STEPS[:2], step("w0:c0", "ROLLBACK")])
    assert raised.value.step == 2


def test_a_lenient_replay_goes_on_by_default() -> None:
    """Where a choice can't be made, or none is recorded, it goes on with the first option."""
    scheduler = Replay(SCHEDULE, lenient=True)
    scheduler.start(None)
    assert scheduler.choose(View(BOTH[:1], STEPS[:1])) == "w0:c0"
    assert scheduler.choose(View(BOTH[1:], STEPS)) == "w1:c1"


def test_it_looks_ahead_along_the_recording() -> None:
    """As far as the recording goes on with the same choice; a lenient one asks each time."""
    schedule = Schedule.of(["w0:c0"] * 3 + ["w1:c1"])
    assert [Replay(schedule).ahead(View(BOTH, STEPS[:number])) for number in range(3)] == [2, 1, 0]
    assert Replay(schedule, lenient=True).ahead(View(BOTH, [])) == 0
