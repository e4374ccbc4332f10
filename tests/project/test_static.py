"""Ruff and mypy are part of the tests: each passes over the whole repository, and each can fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.sources import ROOT

pytestmark = pytest.mark.slow


def _run(*command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.mark.parametrize("command", ["ruff check", "ruff format --check", "mypy"])
def test_the_repository_passes(command: str) -> None:
    """The tool has nothing to say; if it has, its words are shown."""
    done = _run(*command.split())
    if done.returncode:
        pytest.fail(f"{command} says:\n\n{done.stdout}", pytrace=False)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("import os\n", "F401"),
        ("def f(x=[]): ...\n", "B006"),
        ("def f(): ...\n", "D103"),
        ("x = 1 # noqa\n", "PGH004"),
    ],
)
def test_ruff_can_fail(text: str, rule: str) -> None:
    """Made-up files are refused under the rules that this repository chose."""
    done = _run("ruff", "check", "--stdin-filename", "harness/made_up.py", "-", text=text)
    assert done.returncode == 1
    assert rule in done.stdout


def test_ruff_format_can_fail() -> None:
    """A file that is not formatted is refused."""
    done = _run("ruff", "format", "--check", "--stdin-filename", "harness/made_up.py", "-", text="x  =  1\n")
    assert done.returncode == 1


def test_mypy_can_fail(tmp_path: Path) -> None:
    """A function without types is refused, so mypy is strict."""
    made_up = tmp_path / "made_up.py"
    made_up.write_text("def f(x): return x\n")
    done = _run("mypy", str(made_up))
    assert done.returncode == 1
    assert "no-untyped-def" in done.stdout
