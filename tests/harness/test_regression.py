"""Exported regression tests: they fail while the race is there, and pass when it is not, whatever the steps then are."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from harness import registry
from harness.cli.main import main
from harness.control.run import run
from harness.errors import BadInput
from harness.racing import RaceFound
from harness.regression import check, legs_of, plan_of
from harness.saved.counterexample import Counterexample, save
from harness.schedulers.plan import atoms
from tests.inner_pytest import PYTEST
from tests.reports.made_up import blocked, killed

pytestmark = pytest.mark.forks

CASES = [
    ("rotate-token", "t11-read-after-commit"),
    ("keyed-crashes", "r25-completion-before-effect"),
    ("keyed-tasks", "r36-lost-wake-up"),
    ("keyed-lease", "r30-blind-heartbeat"),
    ("add-agent-over-http", "r01-get-then-set"),
]
"""One race by its order alone, one with a kill, one of tasks in one worker, one of time, one over HTTP."""


SETTINGS = '[tool.harness]\nscenarios = ["scenarios:ALL"]\n'
"""The project that the tests are written into knows our scenarios by name."""


@pytest.mark.slow
def test_each_fails_on_its_variant_and_passes_on_the_reference(tmp_path: Path) -> None:
    """As files that one pytest runs; the failure shows the race."""
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    for number, (name, variant) in enumerate(CASES):
        result = run(registry.find(name, variant), max_executions=1_000, explain=False)
        path = save(Counterexample.of(result), tmp_path)
        faulty, right = tmp_path / f"test_faulty_{number}.py", tmp_path / f"test_right_{number}.py"
        assert main(["replay", str(path), "--export", "test", "--output", str(faulty)]) == 0
        right.write_text(faulty.read_text().replace(f"VARIANT = {variant!r}", "VARIANT = None"))
    done = subprocess.run([*PYTEST, "-q", "-rA"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout
    ended = re.findall(r"^(PASSED|FAILED) test_(faulty|right)_(\d)\.py", done.stdout, re.MULTILINE)
    how = {"faulty": "FAILED", "right": "PASSED"}
    assert sorted(ended) == sorted((how[kind], kind, str(number)) for kind in how for number in range(len(CASES)))
    _, *failures = re.split(r"^_+ test_\w+ _+$", done.stdout.partition("short test summary")[0], flags=re.MULTILINE)
    assert ["RaceFound" in each for each in failures] == [True] * len(CASES)


def test_legs_are_a_plan_in_short() -> None:
    """They give the plan back."""
    for found in (blocked(), killed()):
        assert plan_of(legs_of(found.steps)) == atoms(found.steps)


def test_a_race_that_is_there_is_shown() -> None:
    """With its transcript; without the race nothing is raised, though steps differ."""
    found = run(registry.find("issue-token", "t01-check-then-insert"), explain=False).counterexample
    assert found is not None
    legs, calls = legs_of(found.steps), "issue('alpha')@w0 | issue('alpha')@w1"
    with pytest.raises(RaceFound, match="one active token per agent"):
        check(registry.find("issue-token", "t01-check-then-insert"), legs=legs, calls=calls)
    assert len(check(registry.find("issue-token"), legs=legs, calls=calls)) == 2


@pytest.mark.parametrize(
    "leg", [("c0", "w0:c0", 0, "end"), ("c0", "w0:c0", 1, "then"), ("c0", "w0", 1, "end"), ("c0",), 7]
)
def test_legs_that_are_none_are_refused(leg: object) -> None:
    """By what they should be."""
    with pytest.raises(BadInput, match="can't be read"):
        plan_of([leg])  # type: ignore[list-item]


def test_it_is_printed_or_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To standard output without a file; a folder that is not there is exit code 2."""
    path = str(save(blocked(), tmp_path))
    assert main(["replay", path, "--export", "test"]) == 0
    source = capsys.readouterr().out
    compile(source, "test.py", "exec")
    assert "SCENARIO = 'issue-token'" in source
    assert main(["replay", path, "--export", "test", "--output", str(tmp_path / "no" / "test.py")]) == 2
    assert "can't be written" in capsys.readouterr().err
