"""The case studies: published packages, installed as they are, race in the version that has the bug and not in the other.

What is installed stays under the system's temporary directory, so that the next run is quick.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.project.sources import ROOT

pytestmark = [pytest.mark.cases, pytest.mark.slow, pytest.mark.forks]

STUDIES = ROOT / "docs" / "case-studies"
FOUND_WITHIN, REPLAYS, LINES = 1_000, 20, 40
VALID_FOR = 200
"""Executions of a version without the race; in the other it shows in the first eleven, but for sqlite-utils."""
UNREACHABLE = re.compile(r"\(from versions: none\)|ConnectionError|ProxyError|Temporary failure|Could not fetch URL")


@dataclass(frozen=True)
class Case:
    """A study: its folder, the version that has the race and the one that has it no more, if any, and the rule that breaks.

    ``needs`` is what the package's code imports on the way.
    """

    folder: str
    has_it: str
    has_it_not: str
    needs: tuple[str, ...]
    rule: str

    def __str__(self) -> str:
        return self.folder


CASES = [
    Case("gitpython", "GitPython==3.2.0", "GitPython==3.2.1", ("gitdb", "smmap"), "what is written is there"),
    Case("huey", "huey==0.4.9", "huey==3.5.4", (), "delivered once"),
    Case(
        "sqlite-utils", "sqlite-utils==4.2.1", "",
        ("click>=8.3", "click-default-group", "pluggy", "python-dateutil", "sqlite-fts4", "tabulate"),
        "one row for a value",
    ),
    Case("pytest", "pytest==8.2.1", "pytest==8.2.2", ("iniconfig", "packaging", "pluggy"), "OSError"),
    Case(
        "optuna", "optuna==4.2.1", "optuna==4.3.0", ("colorlog", "numpy", "packaging", "PyYAML", "tqdm"),
        "every call ends",
    ),
    Case(
        "databases", "databases==0.7.0", "databases==0.8.0", ("SQLAlchemy<1.5",),
        "what is reported committed is there",
    ),
]  # fmt: skip


def installed(package: str, needs: Iterable[str]) -> Path:
    """Return a folder that holds *package* and what it *needs*, and nothing else; skip where they can't be had."""
    python = f"{sys.implementation.cache_tag}-{os.getuid()}"
    folder = Path(tempfile.gettempdir()) / f"race-harness-cases-{python}" / package
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    if folder.parent.stat().st_uid != os.getuid():
        pytest.skip(f"{folder.parent} belongs to somebody else, so that what is in it is not to be run")
    if folder.is_dir():
        return folder
    target = tempfile.mkdtemp(dir=folder.parent)
    options = ("--disable-pip-version-check", "--quiet", "--no-deps", "--retries=1", "--timeout=20", "--target", target)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, package, *needs],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        shutil.rmtree(target)
        if UNREACHABLE.search(done.stderr):
            pytest.skip(f"{package} can't be had: pip says {done.stderr.strip().splitlines()[-1]}")
        pytest.fail(f"pip can't install {package}:\n{done.stderr}", pytrace=False)
    try:
        Path(target).rename(folder)
    except OSError:  # somebody else, who runs these tests too, was quicker
        shutil.rmtree(target)
    return folder


def harness(packages: Path, cwd: Path, *arguments: str) -> Any:
    """Return what the command says in JSON, in a process that finds *packages* and the repository."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON", "COV"))
    }
    environment |= {"PYTHONPATH": f"{packages}{os.pathsep}{ROOT}", "GIT_PYTHON_REFRESH": "quiet"}
    done = subprocess.run(
        [sys.executable, "-m", "harness", *arguments, "--json"],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    try:
        return json.loads(done.stdout)
    except ValueError:
        pytest.fail(f"the harness says, with exit code {done.returncode}:\n{done.stdout}{done.stderr}", pytrace=False)


def explored(packages: Path, cwd: Path, adapter: str, executions: int) -> Any:
    """Return what the harness says of the scenario in the file *adapter* after so many *executions* at most."""
    return harness(packages, cwd, "run", f"{STUDIES / adapter}:CASE", "--max-executions", str(executions))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_race_is_found_and_replays(case: Case, tmp_path: Path) -> None:
    """In the version that has it, it is found within a thousand executions, and 20 of 20 replays fail alike."""
    packages = installed(case.has_it, case.needs)
    found = explored(packages, tmp_path, f"{case.folder}/race.py", FOUND_WITHIN)
    assert found["verdict"] == "invalid", found["reasons"]
    assert found["failure"]["rule"] == case.rule
    assert found["first_failure"] <= FOUND_WITHIN
    again = harness(
        packages, tmp_path, "replay", found["counterexample"], "--times", str(REPLAYS),
        "--scenario", f"{STUDIES / case.folder / 'race.py'}:CASE",
    )  # fmt: skip
    assert (again["failed_again"], again["times"]) == (REPLAYS, REPLAYS)


@pytest.mark.parametrize("case", [case for case in CASES if case.has_it_not], ids=str)
def test_the_version_without_it_is_valid(case: Case, tmp_path: Path) -> None:
    """In the version that has it no more, hundreds of executions, or all there are, break no rule."""
    found = explored(installed(case.has_it_not, case.needs), tmp_path, f"{case.folder}/race.py", VALID_FOR)
    assert found["verdict"] == "valid", (found["reasons"], found["failure"])
    assert found["complete"] or found["executions"] == VALID_FOR


def test_sqlite_utils_over_a_table_with_its_index_is_valid(tmp_path: Path) -> None:
    """Where the table is there with its unique index, look-ups in the same version break no rule in any execution."""
    case = next(case for case in CASES if not case.has_it_not)
    found = explored(installed(case.has_it, case.needs), tmp_path, f"{case.folder}/table_made_first.py", 600)
    assert (found["verdict"], found["complete"]) == ("valid", True), (found["reasons"], found["failure"])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_page_shows_what_breaks(case: Case) -> None:
    """Each study has an adapter of 40 lines at most and a page that names the versions, with a transcript; the index has it."""
    folder = STUDIES / case.folder
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert len((folder / "race.py").read_text(encoding="utf-8").splitlines()) <= LINES
    versions = [text.partition("==")[2] for text in (case.has_it, case.has_it_not) if text]
    assert [text for text in (*versions, f"'{case.rule}'", "*** BROKEN HERE") if text not in page] == []
    assert f"({case.folder}/README.md)" in (STUDIES / "README.md").read_text(encoding="utf-8")
