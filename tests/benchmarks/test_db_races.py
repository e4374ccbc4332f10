"""The races of `benchmarks/db_races`: each is found, no twin is accused, and nothing breaks where nothing overlaps."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import db_races
from benchmarks.db_races import RACES, Race
from benchmarks.races import scenario_of
from benchmarks.searching import search
from tests.project.sources import ROOT

SMALL = [race for race in RACES if len(race.faulty) <= 4]
DEFAULT = "portfolio"
TWIN_EXECUTIONS = 40


def names(race: Race) -> str:
    """Return what a test is called by."""
    return race.name


@pytest.mark.slow
@pytest.mark.forks
@pytest.mark.parametrize("race", SMALL, ids=names)
def test_a_race_is_found_and_its_twin_is_not(race: Race) -> None:
    """The default scheduler finds a small race within a thousand executions, and does not accuse its twin."""
    assert search(scenario_of(race), DEFAULT, executions=1000).first is not None
    accused = search(scenario_of(race, correct=True), DEFAULT, executions=TWIN_EXECUTIONS)
    assert accused.first is None, accused.failure
    assert accused.complete or accused.executions == TWIN_EXECUTIONS


@pytest.mark.slow
def test_nothing_breaks_in_turn() -> None:
    """Uncontrolled and one task after another, faulty and correct tasks keep every rule."""
    # In a process of its own: what has opened databases must not fork workers.
    command = [sys.executable, "-m", "benchmarks.db_races", "--in-turn"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.mark.slow
def test_a_real_overlap_breaks_a_rule() -> None:
    """Run uncontrolled, what breaks whenever it overlaps is counted as broken; a name that is none is bad usage."""
    command = [sys.executable, "-m", "benchmarks.db_races", "shared-connection", "--run", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "3 of     3" in done.stdout
    unknown = [sys.executable, "-m", "benchmarks.db_races", "nothing"]
    assert subprocess.run(unknown, cwd=ROOT, capture_output=True, check=False).returncode == 2


def test_anyone_can_use_them() -> None:
    """The package imports the standard library, aiosqlite and itself."""
    assert db_races.__file__ is not None
    allowed = {*sys.stdlib_module_names, "aiosqlite"}
    for path in Path(db_races.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                assert module.startswith("benchmarks.db_races") or module.partition(".")[0] in allowed, module


def test_names_are_unique() -> None:
    """No two races have the same name, and each has a story."""
    assert len({race.name for race in RACES}) == len(RACES)
    assert all(race.story for race in RACES)
