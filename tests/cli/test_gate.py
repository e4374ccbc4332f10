"""The gate's judgement over made-up answers of its runs, and the real commands over a small scenario."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.cli.gate.command import _judged
from harness.cli.gate.row_runs import Todo, filled
from harness.cli.terminal import EXIT_CODES
from harness.reports.text.gate_table import GateRow
from harness.verdict import Verdict, merge

REFERENCE = GateRow("counter", "", Verdict.VALID, Verdict.UNKNOWN)
VARIANT = GateRow("counter", "lost", Verdict.INVALID, Verdict.UNKNOWN)


def _row(row: GateRow, output: bytes, errors: bytes, code: int) -> GateRow:
    return filled(Todo(row, row.scenario), output, errors, code=code)[0]


def _said(verdict: str, **more: Any) -> bytes:
    values: dict[str, Any] = {
        "verdict": verdict,
        "executions": 4,
        "complete": True,
        "bound": None,
        "first_failure": None,
        "preemptions": None,
        "faults": None,
        "failure": None,
        "seconds": 0.25,
        "startup_seconds": 0.5,
        "reasons": [],
        "counterexample": None,
        "coverage": {"seen": 0.5, "residual": {"1": 0.1, "2": 0.25, "3": 0.5}, "since_new": 3},
    }
    return json.dumps({**values, **more}).encode()


BROKEN = {
    "first_failure": 2,
    "preemptions": 1,
    "faults": 0,
    "failure": {"kind": "at end", "rule": "two", "message": "it is 1", "step": 9},
}

# --- judging --------------------------------------------------------------------------------------


def test_what_a_run_said_fills_its_row() -> None:
    """Verdict, counts, the oracle that saw it, and the time with start-up."""
    assert _row(VARIANT, _said("invalid", **BROKEN), b"", 1) == GateRow(
        "counter", "lost", Verdict.INVALID, Verdict.INVALID, 4, True, 2, 1, 0, "at end two", 0.75,
        seen=0.5, residual=0.25, since_new=3, command="harness run counter --variant lost",
    )  # fmt: skip


def test_a_variant_that_is_not_caught_is_explained() -> None:
    """Whether every interleaving was covered, or which limit was hit."""
    assert _row(VARIANT, _said("valid"), b"", 0).note.endswith(
        "no rule broke in any interleaving. To search it: harness run counter --variant lost"
    )
    limited = _said("valid", complete=False, bound="1000 executions")
    assert _row(VARIANT, limited, b"", 0).note.endswith(
        "within 1000 executions. To search it: harness run counter --variant lost"
    )


def test_a_reference_that_fails_says_how_to_replay_it() -> None:
    """Its counterexample is kept."""
    row = _row(REFERENCE, _said("invalid", counterexample="x y/a.json", **BROKEN), b"", 1)
    assert row.note == "To replay it: harness replay 'x y/a.json'"


@pytest.mark.parametrize("output", [b"", b"Traceback", b"\xff"])
def test_a_run_without_an_answer_is_unknown(output: bytes) -> None:
    """Its last words are kept."""
    row = _row(REFERENCE, output, b"harness: no \xff memory", 70)
    assert row.verdict is Verdict.UNKNOWN
    assert row.note == "The run ended with exit code 70 without an answer. harness: no \ufffd memory"
    assert "was killed" in _row(REFERENCE, output, b"", -9).note


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([("valid", "valid"), ("invalid", "invalid")], 0),
        ([("valid", "invalid"), ("invalid", "unknown")], 1),
        ([("invalid", "valid")], 1),
        ([("valid", "unknown"), ("invalid", "invalid")], 3),
    ],
)
def test_the_gate_passes_only_if_all_came_as_expected(verdicts: list[tuple[str, str]], code: int) -> None:
    """1 if something is wrong, else 3 if something is unknown, else 0."""
    rows = [GateRow("s", "v", Verdict(expected), Verdict(came)) for expected, came in verdicts]
    assert EXIT_CODES[merge(map(_judged, rows))] == code


# --- the real thing -------------------------------------------------------------------------------

RACES = """
import sqlite3
from dataclasses import replace
from harness.scenario import Check, Scenario, Workload

def setup(db):
    with sqlite3.connect(db) as connection:
        connection.execute("CREATE TABLE counter (n)")
        connection.execute("INSERT INTO counter VALUES (0)")
    connection.close()

def add_one(db, begin="BEGIN IMMEDIATE"):
    connection = sqlite3.connect(db, isolation_level=None)
    try:
        connection.execute(begin)
        (n,) = connection.execute("SELECT n FROM counter").fetchone()
        connection.execute("UPDATE counter SET n = ?", (n + 1,))
        if connection.in_transaction:
            connection.execute("COMMIT")
    finally:
        connection.close()

def lose_one(db):
    add_one(db, "SELECT 1")

def two(db):
    connection = sqlite3.connect(db)
    (n,) = connection.execute("SELECT n FROM counter").fetchone()
    connection.close()
    assert n == 2, f"the counter is {n}, not 2"

GOOD = Scenario(
    name="counter", setup=setup, operations={"add one": add_one},
    workload=lambda workers: Workload.each("add one", workers=workers), at_end=(Check("both count", two),),
)
LOST = replace(GOOD, operations={"add one": lose_one}, variant="lost")
ALL = [replace(GOOD, variants={"lost": LOST})]
NEVER_CAUGHT = [replace(GOOD, variants={"harmless": replace(GOOD, variant="harmless")})]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a distribution that brings one scenario."""
    (tmp_path / "counter_races.py").write_text(RACES)
    info = tmp_path / "counter_races-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: counter-races\nVersion: 1\n")
    _bring(tmp_path, "ALL")
    return tmp_path


def _bring(project: Path, attribute: str) -> None:
    points = f"[harness.scenarios]\nmine = counter_races:{attribute}\n"
    (project / "counter_races-1.dist-info" / "entry_points.txt").write_text(points)


def _harness(project: Path, *argv: str, seed: str = "") -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parents[2])
    code = (
        "import sys\n"
        "from harness import registry\n"
        "from importlib.metadata import entry_points\n"
        "registry.entry_points = lambda group: [p for p in entry_points(group=group) if p.name == 'mine']\n"
        "from harness.cli.main import main\n"
        "sys.exit(main())\n"
    )
    (project / "command.py").write_text(code)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    environment["PYTHONPATH"] = os.pathsep.join([str(project), root])
    if seed:
        environment["PYTHONHASHSEED"] = seed
    return subprocess.run(
        [sys.executable, str(project / "command.py"), *argv],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.slow
@pytest.mark.forks
def test_a_race_is_found_saved_and_replayed(project: Path) -> None:
    """The command that a failure ends with replays it, also from another folder; the reference is valid."""
    assert _harness(project, "run", "counter").returncode == 0
    found = _harness(project, "run", "counter", "--variant", "lost")
    assert found.returncode == 1
    assert "BROKEN HERE: at end 'both count'" in found.stdout
    command = found.stdout.splitlines()[-1].split()
    again = _harness(project, *command[1:], "--times", "5", "--json")
    assert again.returncode == 1
    assert json.loads(again.stdout)["failed_again"] == 5
    moved = (project / command[2]).rename(project / "moved.json")
    assert _harness(project, "replay", str(moved)).returncode == 1


@pytest.mark.slow
@pytest.mark.forks
def test_a_fixed_race_no_longer_fails_or_departs(project: Path) -> None:
    """Once the code is another, a replay is never called a failure."""
    said = json.loads(_harness(project, "run", "counter", "--variant", "lost", "--json").stdout)
    content = (project / "counter_races.py").read_text()
    (project / "counter_races.py").write_text(content.replace('"SELECT 1"', '"BEGIN IMMEDIATE"'))
    done = _harness(project, "replay", said["counterexample"])
    assert done.returncode == 3
    assert "departs from the recording at step 1" in done.stdout
    assert "BEGIN IMMEDIATE" in done.stdout


@pytest.mark.slow
@pytest.mark.forks
def test_the_hash_seed_is_fixed_unless_it_is_set(project: Path) -> None:
    """And the counterexample says which it was."""
    for seed, recorded in (("", "0"), ("7", "7")):
        said = json.loads(_harness(project, "run", "counter", "--variant", "lost", "--json", seed=seed).stdout)
        content = json.loads((project / said["counterexample"]).read_text())
        assert content["made_with"]["hash_seed"] == recorded


@pytest.mark.slow
@pytest.mark.forks
def test_the_gate_over_a_small_project(project: Path) -> None:
    """It passes with progress on standard error, the result on standard output, and leaves no file."""
    before = set(project.iterdir())
    done = _harness(project, "gate", "--json", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["verdict"], said["as_expected"]) == ("valid", len(said["rows"]))
    rows = [row for row in said["rows"] if row["scenario"] == "counter"]
    assert [(row["variant"], row["verdict"]) for row in rows] == [(None, "valid"), ("lost", "invalid")]
    assert [row["residual"] for row in rows if not row["variant"]] == [0.0]
    assert "counter lost: invalid, as expected" in done.stderr
    assert {path for path in project.iterdir() if path.name != "__pycache__"} <= {
        *before,
        project / "command.py",
    }


@pytest.mark.slow
@pytest.mark.forks
def test_the_gate_fails_where_a_variant_is_not_caught(project: Path) -> None:
    """The row is marked, the reason is given, and the exit code is 1."""
    _bring(project, "NEVER_CAUGHT")
    done = _harness(project, "gate")
    assert done.returncode == 1
    assert "! harmless" in done.stdout
    assert "not caught" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("gate: FAILED")
