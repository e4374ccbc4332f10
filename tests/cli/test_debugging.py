"""`harness replay --pdb`: the debugger of one worker at a real terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest

from harness import registry
from harness.cli.main import main
from harness.control.run import run
from harness.saved.counterexample import Counterexample, load, save

pytestmark = [pytest.mark.forks, pytest.mark.slow]
PATIENCE = 60.0


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The counterexample of a check-then-insert."""
    found = run(registry.find("issue-token", "t01-check-then-insert"), explain=False)
    return save(Counterexample.of(found), tmp_path_factory.mktemp("found"))


def until(terminal: int, what: str) -> str:
    """Read from *terminal* until it has shown *what*."""
    said = ""
    while what not in said:
        ready, _, _ = select.select([terminal], [], [], PATIENCE)
        assert ready, f"nothing more came after: {said}"
        try:
            said += os.read(terminal, 4096).decode(errors="replace")
        except OSError:
            break
    return said


def test_somebody_looks_at_a_worker_and_goes_on(recorded: Path) -> None:
    """Its frame and its variables, by pdb's own commands; then the replay goes on to its end."""
    found = load(recorded)
    number = next(n for n, step in enumerate(found.steps) if step.text.startswith("INSERT INTO tokens"))
    where = f"{found.steps[number].worker}:{number}"
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "harness", "replay", str(recorded), "--pdb", where]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        said = until(ours, "(Pdb) ")
        assert "database.py" in said
        os.write(ours, b"up\np agent\nc\n")
        said = until(ours, "active tokens")
        assert "'alpha'" in said
        assert re.search(r"The end. Broken: invariant 'TOK1", said)
        assert process.wait(PATIENCE) == 0
    os.close(ours)


@pytest.mark.parametrize(
    ("where", "why"),
    [("1", "no WORKER:STEP"), ("9:1", "no worker 9"), ("0:999", "step 999"), ("0:1", "needs a terminal")],
)
def test_what_can_not_be_is_refused(
    where: str, why: str, recorded: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place that there is not, and no terminal."""
    with open(os.devnull) as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        assert main(["replay", str(recorded), "--pdb", where]) == 2
    assert why in capsys.readouterr().err
