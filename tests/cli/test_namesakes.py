"""A project with a package ``harness`` of its own: pytest works there, and says why races are not at hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEST = "def test_own():\n    import harness.mine\n    assert harness.mine.X == 1\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose own package has our package's name."""
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness" / "__init__.py").touch()
    (tmp_path / "harness" / "mine.py").write_text("X = 1\n")
    (tmp_path / "test_own.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("start", [["-m", "pytest"], ["-P", "-m", "pytest"]], ids=["from here", "installed"])
@pytest.mark.parametrize("place", [".", "below"])
def test_pytest_works_and_says_why_nothing_is_raced(start: list[str], place: str, project: Path) -> None:
    """Whether the project's package or ours comes first on the path, and in a folder of the project too."""
    (project / "below").mkdir()
    command = [sys.executable, *start, str(project / "test_own.py"), "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT) if "-P" in start else ""}
    done = subprocess.run(command, cwd=project / place, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "race-harness: not loaded, as this project has a package 'harness' of its own" in done.stdout


@pytest.mark.slow
def test_the_plugin_is_loaded_otherwise(tmp_path: Path) -> None:
    """With its options; nothing is said of a package."""
    (tmp_path / "test_nothing.py").write_text("def test_nothing(race):\n    assert callable(race)\n")
    command = [sys.executable, "-m", "pytest", "--harness-seed", "3", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not loaded" not in done.stdout
