"""The recipes for CI: sound YAML, whose gate step does what the page says, as far as that can be tried offline."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

PAGE = Path(__file__).parents[2] / "docs" / "ci.md"
RACES = """
import sqlite3

from harness import Check, Scenario, Workload


def nothing(db):
    sqlite3.connect(db).execute("CREATE TABLE IF NOT EXISTS t (n)")


SCENARIO = Scenario(
    name="nothing",
    setup=nothing,
    operations={"call": nothing},
    workload=lambda workers: Workload.each("call", workers=workers),
)
"""


def recipe(name: str) -> Any:
    """Return the recipe of that name, parsed."""
    found = re.search(rf"<!-- recipe: {name} -->\n```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return yaml.safe_load(found.group(1))


def gate_lines() -> list[tuple[str, dict[str, str]]]:
    """Return the line of each recipe that runs the gate, with the variable that its service sets."""
    (step,) = [step for step in recipe("github")["jobs"]["races"]["steps"] if step.get("name") == "gate"]
    (line,) = [line for line in recipe("gitlab")["races"]["script"] if line.startswith("harness gate")]
    return [
        (step["run"], {"GITHUB_BASE_REF": "main", "GITHUB_ACTIONS": "true"}),
        (line, {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"}),
    ]


@pytest.mark.forks
@pytest.mark.slow
@pytest.mark.parametrize(("line", "variables"), gate_lines())
def test_the_gate_step_runs(line: str, variables: dict[str, str], tmp_path: Path) -> None:
    """In a checkout with a branch to compare with: it passes, and leaves what the next steps upload."""
    (tmp_path / "races.py").write_text(RACES)
    (tmp_path / "pyproject.toml").write_text('[tool.harness]\nscenarios = ["races.py:SCENARIO"]\n')
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["commit", "-qm", "first"],
        ["update-ref", "refs/remotes/origin/main", "HEAD"],
    ):
        subprocess.run(["git", *who, *command], cwd=tmp_path, check=True)
    (tmp_path / "races.py").write_text(RACES + "\n")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"), **variables}
    done = subprocess.run(["bash", "-ec", line], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 as expected" in done.stdout
    assert (tmp_path / "build" / "races" / "junit.xml").is_file()
    assert (tmp_path / "build" / "races" / "results.sarif").is_file()
    assert "Race gate: passed" in (tmp_path / "summary").read_text()
