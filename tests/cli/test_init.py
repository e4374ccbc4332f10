"""`harness init`: a first scenario that the gate passes, written beside what is there and never over it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.project.settings import load


@pytest.mark.forks
@pytest.mark.slow
def test_the_gate_passes_over_what_it_writes(tmp_path: Path) -> None:
    """Its reference is valid and complete, and its variant is caught; the scenario is known by its name."""
    assert main(["init", str(tmp_path)]) == 0
    gate = subprocess.run([sys.executable, "-m", "harness", "gate"], cwd=tmp_path, capture_output=True, text=True)
    assert gate.returncode == 0, gate.stdout + gate.stderr
    assert "2 of 2 as expected" in gate.stdout
    command = [sys.executable, "-m", "harness", "run", "counter", "--variant", "no-lock"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1, run.stdout + run.stderr


def test_settings_are_added_to_those_that_are_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing else in `pyproject.toml` changes, and what to do next is said."""
    before = '[project]\nname = "mine"'
    (tmp_path / "pyproject.toml").write_text(before)
    assert main(["init", str(tmp_path)]) == 0
    assert (tmp_path / "pyproject.toml").read_text().startswith(before + "\n\n[tool.harness]\n")
    assert load(start=tmp_path).scenarios == ("races.py:ALL",)
    assert f"Next (in {tmp_path}): harness gate" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "text"), [("pyproject.toml", "[tool.harness]\n"), ("races.py", "MINE = 1\n")])
def test_what_is_there_is_left_alone(name: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 2, the file that is in the way, and no other file written."""
    (tmp_path / name).write_text(text)
    assert main(["init", str(tmp_path)]) == 2
    assert f"{name!r}"[1:-1] in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, text)]


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 2."""
    assert main(["init", str(tmp_path / "nowhere")]) == 2
    assert "There is no folder" in capsys.readouterr().err
