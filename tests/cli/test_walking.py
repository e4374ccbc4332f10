"""`harness replay --step` and `--edit`: a recorded execution looked at from inside, and made to go otherwise."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from harness import registry
from harness.cli.main import main
from harness.control.run import run
from harness.saved.counterexample import Counterexample, load, save

pytestmark = [pytest.mark.forks, pytest.mark.slow]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The counterexample of a check-then-insert."""
    found = run(registry.find("issue-token", "t01-check-then-insert"), explain=False)
    return save(Counterexample.of(found), tmp_path_factory.mktemp("found"))


def walked(
    path: Path, commands: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *more: str
) -> str:
    """Walk through *path* with *commands*, one a line, and return what was shown."""
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(commands.split("; ")) + "\n"))
    assert main(["replay", str(path), "--step", *more]) == 0
    return capsys.readouterr().out


def test_it_goes_on_and_back_and_to_the_violation(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each stop shows the step that comes; an empty line goes on; beyond the end is the end, where the rule is said."""
    found = load(recorded)
    said = walked(recorded, "n 3; b; ; g 1; v; n; n; q", monkeypatch, capsys)
    stops = re.findall(r"^\[(\d+)/", said, re.MULTILINE)
    last, broken = str(len(found.steps)), str(found.failure.step)
    assert stops == ["0", "3", "2", "3", "1", broken, last, last]
    assert "The end. Broken: invariant 'TOK1 one active token per agent'" in said
    assert "This is the end." in said


def test_it_shows_stacks_variables_and_tables(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the code under test only, without secrets; a table as it is committed, and as a worker sees it before that."""
    found = load(recorded)
    inserts = [number for number, step in enumerate(found.steps) if step.text.startswith("INSERT INTO tokens")]
    said = walked(recorded, f"g {inserts[0]}; w; l; g {inserts[-1]}; t tokens; c; s; q", monkeypatch, capsys)
    assert re.search(r"w\d c\d:\n    database.py:\d+ in fetch", said)
    assert "in LockedTokenStore.issue (t01_check_then_insert.py:" in said
    assert "agent = 'alpha'" in said
    assert "secret = '<secret " in said
    assert not re.search(r"[0-9a-f]{16}\.[A-Za-z0-9_-]{20,}", said)
    assert "session.py" not in said
    assert re.search(r"^db.sqlite tokens\n    id +agent_id", said, re.MULTILINE)
    assert re.search(r"^w\d, connection 1 to db.sqlite: tokens", said, re.MULTILINE)
    assert f"->{inserts[-1]:>5}" in said


def test_a_secret_that_nobody_was_told_is_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the call that made it fails, its variable's name tells; the same text elsewhere is hidden, too."""
    found = run(registry.find("issue-token-tasks", "t09-shared-connection"), explain=False)
    path = save(Counterexample.of(found), tmp_path)
    said = walked(path, "; ".join("l; n" for _ in load(path).steps) + "; q", monkeypatch, capsys)
    assert re.search(r"secret = '?<secret", said)
    assert not re.search(r"[0-9a-f]{16}\.[A-Za-z0-9_-]{20,}", said)


def test_what_is_no_command_is_explained(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a number that is none; the end of the input leaves."""
    said = walked(recorded, "what; g here; g; n x", monkeypatch, capsys)
    assert "q           leave" in said
    assert "g takes a number, not 'here'." in said
    assert "n takes a number, not 'x'." in said


def test_looking_changes_nothing(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever asks for all at every step comes to the same end."""
    commands = "; ".join("w; l; t; c; n" for _ in load(recorded).steps)
    assert "The end. Broken: invariant 'TOK1" in walked(recorded, f"{commands}; q", monkeypatch, capsys)


def test_the_other_way_round_it_passes(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the preemption every rule holds; the recorded choices fail; the file stays as it is."""
    before = recorded.read_bytes()
    assert main(["replay", str(recorded), "--edit", "w0:c0*2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "valid"
    assert main(["replay", str(recorded), "--edit", str(load(recorded).schedule)]) == 1
    said = capsys.readouterr().out
    assert said.startswith("The edited schedule fails.")
    assert "BROKEN HERE" in said
    assert recorded.read_bytes() == before


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        ("w0:c0 w1:c0", r"choice number 1, 'w1:c0', is not possible there. What is: w0:c0, w1:c1"),
        ("nonsense", "neither CHOICE nor CHOICE"),
        ("!kill:w0", "not possible there"),
    ],
)
def test_choices_that_can_not_be_made_are_refused(
    schedule: str, why: str, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By number, with what could have been chosen."""
    assert main(["replay", str(recorded), "--edit", schedule]) == 2
    assert re.search(why, capsys.readouterr().err)
