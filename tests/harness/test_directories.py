"""Directories of the harness are swept when nobody holds them, and only then."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.control.testbed import directories
from harness.control.testbed.directories import held, own_directory

GONE = "race-harness-4194399-0123abcd"
"""A directory of a process that is not there: in another PID namespace, or dead."""


@pytest.fixture
def gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Such a directory, old enough to be swept."""
    monkeypatch.setattr(directories, "_YOUNG", -1.0)
    place = tmp_path / GONE
    place.mkdir()
    return place


def test_what_nobody_holds_is_removed(gone: Path, tmp_path: Path) -> None:
    """Its owner is gone, and its lock with it."""
    own_directory(tmp_path)
    assert not gone.exists()


def test_what_somebody_holds_is_left(gone: Path, tmp_path: Path) -> None:
    """Its owner is in another PID namespace, and alive."""
    with held(gone):
        own_directory(tmp_path)
        assert gone.exists()
    own_directory(tmp_path)
    assert not gone.exists()


def test_what_is_new_is_left(tmp_path: Path) -> None:
    """Its owner may be about to lock it."""
    (tmp_path / GONE).mkdir()
    own_directory(tmp_path)
    assert (tmp_path / GONE).exists()


def test_what_is_of_a_living_process_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locked or not."""
    monkeypatch.setattr(directories, "_YOUNG", -1.0)
    place = tmp_path / f"race-harness-{os.getpid()}-0123abcd"
    place.mkdir()
    own_directory(tmp_path)
    assert place.exists()
