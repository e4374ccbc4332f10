"""The command's streams: closed, full, read by GitHub Actions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.stress.saying import errors_of, last_lines

HARNESS = f"{sys.executable} -m harness"

pytestmark = pytest.mark.forks


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run *command* by the shell, from the root of this repository."""
    surroundings = {**os.environ, "GITHUB_ACTIONS": "", "GITHUB_STEP_SUMMARY": "", **environment}
    root = Path(__file__).parents[2]
    return subprocess.run(command, shell=True, capture_output=True, text=True, cwd=root, env=surroundings)


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_verdict(closed: str) -> None:
    """The exit code is the verdict's, whichever streams are closed."""
    assert shell(f"{HARNESS} run issue-token --no-save {closed}").returncode == 0
    assert shell(f"{HARNESS} run nobody {closed}").returncode == 2


@pytest.mark.parametrize("options", ["list", "list --json"])
def test_a_full_disk_under_the_output_is_said(options: str) -> None:
    """It is no bug, and no verdict."""
    done = shell(f"{HARNESS} {options} >/dev/full")
    assert done.returncode == 2
    assert "No space left on device" in done.stderr


def test_names_are_no_workflow_commands() -> None:
    """What is printed stands between a stop and a token that no text can know."""
    done = shell(f"{HARNESS} run '::error::x'", GITHUB_ACTIONS="true")
    assert done.returncode == 2
    for text in (done.stdout, done.stderr):
        lines = text.splitlines()
        assert lines[0].startswith("::stop-commands::")
        assert lines[-1] == f"::{lines[0].removeprefix('::stop-commands::')}::"
    assert "::" not in shell(f"{HARNESS} list").stdout


def test_errors_are_told_from_warnings() -> None:
    """A traceback and a level of ERROR are errors; a warning that a library gives is none."""
    warning = "lib/x.py:3: DeprecationWarning: soon gone\n  import x\nWARNING: 2 requests waited\nretry after error"
    assert errors_of(warning) == ""
    assert errors_of(f"{warning}\nERROR:    Exception in ASGI application\nmore").startswith("ERROR:    Exc")
    assert errors_of("2026-01-01 12:00 CRITICAL gone").startswith("2026")
    assert errors_of(f"{warning}\nTraceback (most recent call last):\n  File").startswith("Traceback")
    assert last_lines("\n".join(map(str, range(30)))).splitlines() == [str(number) for number in range(10, 30)]
