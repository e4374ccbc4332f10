"""`harness compare`: a fix is told from what only looks like one, over variants and over git revisions."""

from __future__ import annotations

import html
import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from harness.cli.compare import command as comparing
from harness.cli.compare.command import judged
from harness.cli.compare.versions import Side
from harness.cli.main import main
from harness.reports.comparison import ORDER, Compared, comparison_lines, comparison_markdown, worst
from harness.reports.text.terminal import columns
from tests.cli.test_gate_project import FAULTY, FIXED, RACES, git, write

COUNTER = f"{RACES}\n\nCOUNTER = racing('counter', service.increment, (Check('both count', both),))\n"
ERRORS = """
import sqlite3


def increment(db):
    raise sqlite3.OperationalError("not today")
"""
TOLERANT = (
    COUNTER.replace("operations=", "expected_errors=('OperationalError',), operations=").replace(
        "(Check('both count', both),)", "(Check('both count', lambda db: _counted(db) != 1),)"
    )
    + "\n\ndef _counted(db):\n    return sqlite3.connect(db).execute('SELECT n FROM t').fetchone()[0]\n"
)
"""Rules that a service which does nothing but fail keeps."""
ATTEMPT = FAULTY.replace(
    '        connection.execute("UPDATE', '        n = int(str(n))\n        connection.execute("UPDATE'
)


def compare(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the comparison there."""
    command = [sys.executable, "-m", "harness", "compare", *arguments, "--time", "5"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True)


def commit(project: Path, name: str, **files: str) -> None:
    """Commit *files* as the tag *name*."""
    write(project, **files)
    git(project, "add", ".")
    git(project, "commit", "-qm", name, "--allow-empty")
    git(project, "tag", name)


@pytest.mark.forks
@pytest.mark.slow
def test_revisions_of_a_repository(tmp_path: Path) -> None:
    """Fixed; worse where every call answers with an error; not fixed by an unrelated change. Nothing stays behind."""
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text("counterexamples\n__pycache__\n")
    commit(tmp_path, "faulty", service=FAULTY, races=TOLERANT, other="def nothing(db):\n    pass\n")
    commit(tmp_path, "fixed", service=FIXED)
    commit(tmp_path, "errors", service=ERRORS)
    commit(tmp_path, "unrelated", service=ATTEMPT, other="def nothing(db):\n    return 1\n")
    before = set(Path("/tmp").glob("race-harness-compare-*"))
    said: dict[str, Any] = {}
    for head, code in (("fixed", 0), ("errors", 1), ("unrelated", 1)):
        done = compare(tmp_path, "faulty", head, "--scenario", "races.py:COUNTER", "--json", "--markdown", "said.md")
        assert done.returncode == code, done.stdout + done.stderr
        said[head] = json.loads(done.stdout)
        assert f"faulty against {head}" in (tmp_path / "said.md").read_text()
    assert said["fixed"]["verdict"] == "fixed"
    assert "in every interleaving" in said["fixed"]["scenarios"][0]["reasons"][0]
    assert said["errors"]["verdict"] == "worse"
    assert "calls no longer do their work" in said["errors"]["scenarios"][0]["reasons"][0]
    assert "raises OperationalError" in said["errors"]["scenarios"][0]["reasons"][0]
    assert said["unrelated"]["verdict"] == "not fixed"
    listed = subprocess.run(
        ["git", "worktree", "list"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert len(listed.splitlines()) == 1
    assert set(Path("/tmp").glob("race-harness-compare-*")) <= before
    assert compare(tmp_path, "faulty", "no-such", "--scenario", "races.py:COUNTER").returncode == 2


@pytest.mark.forks
@pytest.mark.slow
def test_variants_of_a_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By their names; the command it ends with fails again."""
    where = ["--scenario", "issue-token", "--output", str(tmp_path), "--time", "5"]
    page = tmp_path / "both.html"
    assert main(["compare", "t01-check-then-insert", "reference", *where, "--html", str(page)]) == 0
    shown = html.unescape(page.read_text())
    assert shown.count("<iframe") == 2
    assert "Every rule holds in this schedule." in shown
    assert "agent 'alpha' has 2 active tokens" in shown
    said = capsys.readouterr().out
    assert "issue-token: fixed" in said
    command = said.splitlines()[-1].split()
    assert command[:2] == ["harness", "replay"]
    assert main(command[1:]) == 1
    capsys.readouterr()
    assert main(["compare", "reference", "t01-check-then-insert", *where]) == 1
    assert "issue-token: worse" in capsys.readouterr().out
    assert main(["compare", "reference", "reference", *where]) == 3
    assert "nor on reference" in capsys.readouterr().out


@pytest.mark.forks
@pytest.mark.slow
def test_scenarios_by_pattern_are_those_that_the_base_lists(tmp_path: Path) -> None:
    """Where neither a scenario nor a counterexample is named, `[tool.harness]` says which: its own, and installed ones."""
    write(
        tmp_path,
        races=f"{RACES}\n\nOWN = racing('own', len, ())\nALL = [racing('a-1', len, ()), racing('b', len, ())]\n",
    )
    write(tmp_path, service="increment = len\n", other="")
    installed = tmp_path / "brought-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[harness.scenarios]\nmine = races:ALL\n")
    options = Namespace(scenario=None, counterexample=None)
    side = Side("base", tmp_path, paths=(str(tmp_path),))
    for settings, names in (
        ('["a-*", "races.py:OWN"]', {"own", "a-1"}),
        ('["races.py:OWN"]', {"own"}),
        ('["b"]', {"b"}),
        ("[]", {"a-1", "b"}),
    ):
        (tmp_path / "pyproject.toml").write_text(f"[tool.harness]\nscenarios = {settings}\n")
        assert set(comparing._names(options, side)) == names


AROUND: dict[str, Any] = {
    "recorded": "", "tried": 9, "fails": 0, "nearest": "", "others": [], "stuck": "",
    "calls": {"issue": {"ok": 20}}, "alone": {"issue 1": "ok", "issue 2": "ok"},
}  # fmt: skip
AFTER: dict[str, Any] = {
    "failure": None,
    "verdict": "valid",
    "complete": True,
    "bound": None,
    "within": None,
    "reasons": [],
}


@pytest.mark.parametrize(
    ("around", "after", "verdict", "why"),
    [
        ({}, {}, "fixed", "in every interleaving"),
        ({}, {"complete": False, "bound": "7 seconds"}, "fixed", "within 7 seconds"),
        ({"recorded": "at end one"}, {}, "not fixed", "task by task"),
        ({"fails": 3, "nearest": "w0:c0 w1:c1"}, {}, "masked", "3 of 9, for example w0:c0 w1:c1"),
        ({}, {"failure": {"kind": "at end", "rule": "one"}}, "not fixed", "exploring afresh"),
        ({}, {"failure": {"kind": "error", "rule": "KeyError"}}, "worse", "error KeyError"),
        ({"recorded": "deadlock every call ends"}, {}, "worse", "deadlock"),
        ({"alone": {"issue 1": "ok", "issue 2": "fail Busy"}}, {}, "worse", "issue 2 returned; now: it raises Busy"),
        ({"alone": {"issue 1": "ok"}}, {}, "worse", "it never ends"),
        ({"calls": {"issue": {"fail Busy": 20}}}, {}, "worse", "now in none of 20"),
        ({"stuck": "it loops"}, {}, "can't tell", "it loops"),
        ({}, {"verdict": "unknown", "reasons": ["never happened: two at once"]}, "can't tell", "two at once"),
    ],
)
def test_the_verdict_follows_from_what_was_seen(
    around: dict[str, Any], after: dict[str, Any], verdict: str, why: str
) -> None:
    """And says why."""
    found, reasons = judged("at end one", AROUND, {**AROUND, **around}, after={**AFTER, **after})
    assert found == verdict
    assert why in " ".join(reasons)


def test_the_gravest_verdict_counts() -> None:
    """Of several scenarios; without any nothing can be said."""
    each = [Compared(name, verdict, ()) for name, verdict in (("a", "fixed"), ("b", "masked"), ("c", "no race"))]
    assert worst(each) == "masked"
    assert worst([]) == "can't tell"
    assert worst([Compared("a", verdict, ()) for verdict in reversed(ORDER)]) == "not fixed"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_it_is_shown_harmless_and_within_the_width(width: int) -> None:
    """In a terminal and as Markdown, whatever the texts are."""
    evil = "\x1b[31m<script>|`x` " + "word " * 40
    compared = [Compared("s", "masked", (evil,), evil, (evil,), "harness replay x", "x")]
    lines = comparison_lines("a", "b", compared, width=width, colour=False)
    assert all(columns(line) <= width for line in lines if "harness replay" not in line)
    assert "\x1b" not in "".join(lines)
    text = comparison_markdown("a", "b", compared)
    assert "<script>" not in text.replace("\\<script\\>", "")
    assert "    harness replay x\n" in text


def test_a_file_that_can_not_be_written_is_bad_input(tmp_path: Path) -> None:
    """And what is no repository."""
    environment = {**os.environ, "GIT_DIR": str(tmp_path / "none")}
    command = [sys.executable, "-m", "harness", "compare", "a", "b", "--scenario", "issue-token"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert "Is this a repository" in done.stderr
