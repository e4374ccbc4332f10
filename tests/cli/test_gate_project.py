"""The gate on a project of its own: a commit with a race, its fix, known counterexamples, and what a change concerns."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.forks, pytest.mark.slow]

SERVICE = """
import sqlite3


def increment(db):
    with sqlite3.connect(db{options}) as connection:
{begin}        (n,) = connection.execute("SELECT n FROM t").fetchone()
        connection.execute("UPDATE t SET n = ?", (n + 1,))
"""
FAULTY = SERVICE.format(options="", begin="")
FIXED = SERVICE.format(options="", begin='        connection.execute("BEGIN IMMEDIATE")\n')
RACES = """
import sqlite3

import other
import service
from harness import Check, Scenario, Workload


def set_up(db):
    with sqlite3.connect(db) as connection:
        connection.execute("CREATE TABLE t (n)")
        connection.execute("INSERT INTO t VALUES (0)")


def both(db):
    assert sqlite3.connect(db).execute("SELECT n FROM t").fetchone() == (2,)


def racing(name, operation, rules):
    return Scenario(
        name=name,
        setup=set_up,
        operations={"call": operation},
        workload=lambda workers: Workload.each("call", workers=workers),
        at_end=rules,
    )
"""
COUNTER = f"{RACES}\n\nCOUNTER = racing('counter', service.increment, (Check('both count', both),))\n"
OTHER = "import other\nfrom races import racing\n\nOTHER = racing('other', other.nothing, ())\n"
SETTINGS = """
[tool.harness]
scenarios = ["races.py:COUNTER", "more.py:OTHER"]
seconds = 5
counterexamples = "known"
report = "out"
"""


def write(project: Path, **files: str) -> None:
    """Write *files*, each name with ``.py``."""
    for name, text in files.items():
        (project / f"{name}.py").write_text(text)


def git(project: Path, *arguments: str) -> None:
    """Run git there."""
    identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=project, check=True, capture_output=True)


def gate(project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the gate there."""
    command = [sys.executable, "-m", "harness", "gate", "--jobs", "1", *arguments]
    surroundings = {**os.environ, "GITHUB_ACTIONS": "", "GITHUB_STEP_SUMMARY": "", **environment}
    return subprocess.run(command, cwd=project, capture_output=True, text=True, env=surroundings)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository whose first commit has a race."""
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / "README").write_text("races we know\n")
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    write(tmp_path, service=FAULTY, races=COUNTER, other="def nothing(db):\n    pass\n", more=OTHER)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_it_fails_on_the_faulty_commit_and_passes_on_the_fix(project: Path) -> None:
    """Both times it says why; the command it names fails like it; the known race is replayed first from then on."""
    done = gate(project, "--output", "known", GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(project / "step.md"))
    assert done.returncode == 1, done.stderr
    assert "::error file=service.py,line=7,title=counter (reference)::" in done.stdout
    assert "Race gate: failed" in (project / "step.md").read_text()
    (page,) = (project / "out").glob("counter-*.html")
    assert "both count" in page.read_text()
    assert {path.name for path in (project / "out").iterdir()} - {page.name} == {
        "gate.json",
        "junit.xml",
        "results.sarif",
        "summary.md",
    }
    row = next(
        row for row in json.loads((project / "out" / "gate.json").read_text())["rows"] if row["verdict"] == "invalid"
    )
    harness, *arguments = shlex.split(row["command"])
    assert harness == "harness"
    again = subprocess.run([sys.executable, "-m", "harness", *arguments], cwd=project, capture_output=True, text=True)
    assert again.returncode == 1, again.stderr
    assert "fell between" in again.stdout

    assert gate(project, "countr", "races.py:COUNTER", "--json").returncode == 2  # there is no such name
    known = gate(project, "counter", "--json")
    first = json.loads(known.stdout)["rows"][0]
    assert first["known"] is not None
    assert first["note"].startswith("A known race is back. To replay it: harness replay ")

    write(project, service=FIXED)
    done = gate(project)
    assert done.returncode == 0, done.stdout
    assert "stale" in done.stdout
    assert "gate: passed" in done.stdout


def test_only_what_a_change_concerns_is_run(project: Path) -> None:
    """By what a scenario imports, however deep; what was left out is said; settings concern all."""
    write(project, other="def nothing(db):\n    return None\n")
    done = gate(project, "--changed-since", "HEAD")
    assert done.returncode == 1  # both scenarios import it
    write(project, other="def nothing(db):\n    pass\n", service=FIXED)
    done = gate(project, "--changed-since", "HEAD", "--json")
    said = json.loads(done.stdout)
    assert [row["scenario"] for row in said["rows"]] == ["counter", "other"]
    write(project, service=FAULTY, races=COUNTER.replace("import other\n", ""))
    git(project, "commit", "-qam", "second")
    write(project, other="def nothing(db):\n    return 1\n")
    said = json.loads(gate(project, "--changed-since", "HEAD", "--json").stdout)
    assert [row["scenario"] for row in said["rows"]] == ["other"]
    assert "changed since HEAD" in said["left_out"]["counter"]
    assert gate(project, "--changed-since", "no-such").returncode == 2
    assert gate(project, "--changed-since", "--output=x").returncode == 2


def test_what_can_not_be_used_is_refused(project: Path) -> None:
    """A known counterexample that is none, a folder that is not there, a report that can't be written."""
    (project / "known" / "a.json").write_text("{}")
    assert gate(project).returncode == 2
    (project / "known" / "a.json").unlink()
    missing = gate(project, "--counterexamples", "none")
    assert missing.returncode == 2
    assert "is not there" in missing.stderr
    assert gate(project, "more.py:OTHER", "--junit", "pyproject.toml/x").returncode == 2
