"""`benchmarks/accusations.py` counts what it made, and says what was wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import accusations
from benchmarks.accusations import Piece, explored, pieces, replayed
from harness import registry


def test_what_is_asked_for_is_dealt_in_full() -> None:
    """Every execution and every replay is in some piece, each exploration with a seed of its own."""
    dealt = list(pieces(1_001, 57, "*"))
    assert sum(piece.times for piece in dealt if not piece.variant) == 1_001
    assert sum(piece.times for piece in dealt if piece.variant) == 57
    seeds = [piece.seed for piece in dealt if not piece.variant]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.forks
@pytest.mark.slow
def test_nothing_is_wrong_with_what_is_right() -> None:
    """The reference passes, a counterexample fails as often as it is replayed."""
    right = explored(Piece("issue-token", "", "random", 5, 1))
    again = replayed(Piece("issue-token", "t01-check-then-insert", "", 5, 0))
    assert (right.made, right.wrong) == (5, "")
    assert (again.made, again.wrong) == (5, "")


@pytest.mark.forks
@pytest.mark.slow
def test_a_failure_of_the_reference_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a faulty variant in its place: the rule is named, the sums are written, and the exit code is 1."""
    faulty = registry.find("issue-token", "t01-check-then-insert")
    monkeypatch.setattr(accusations.registry, "find", lambda *_: faulty)
    sums = tmp_path / "sums.json"
    arguments = ["accusations", "--executions", "80", "--replays", "0", "--only", "issue-token", "--json", str(sums)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert accusations.main() == 1
    assert "one active token per agent" in capsys.readouterr().out
    assert json.loads(sums.read_text())["wrong"]
