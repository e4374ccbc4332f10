"""``pathlib``, ``tempfile`` and ``shutil`` over the shared directory: their races are found, right programs are valid."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.racing import scenario_of
from harness.scenario import Scenario
from tests.harness.file_programs import counted, set_up
from tests.harness.libraries.judging import found_and_replayed, valid_and_complete

pytestmark = pytest.mark.forks


def one_gets_it(db: Path) -> Any:
    """Return whether exactly one has made its mark."""
    return len((db.parent / "marks").read_text()) == 1 if (db.parent / "marks").exists() else False


def mark(db: Path) -> None:
    """Say that it was oneself."""
    with (db.parent / "marks").open("a") as file:
        file.write("x")


def looked_for(db: Path) -> None:
    """Is there one? No: make it."""
    claim = db.parent / "claim"
    if not claim.exists():
        claim.touch()
        mark(db)


def touched(db: Path) -> None:
    """To make it tells whether there was one."""
    try:
        (db.parent / "claim").touch(exist_ok=False)
    except FileExistsError:
        return
    mark(db)


def moved_away(db: Path) -> None:
    """Only one can rename it."""
    try:
        (db.parent / "n").rename(db.parent / f"taken by {os.getpid()}")
    except FileNotFoundError:
        return
    mark(db)


def written_in_place(db: Path) -> None:
    """Read, and written to a temporary file that takes its place."""
    n = counted(db)
    descriptor, name = tempfile.mkstemp(dir=db.parent)
    with open(descriptor, "w") as file:
        file.write(str(n + 1))
    Path(name).replace(db.parent / "n")


def copied_and_moved(db: Path) -> None:
    """A directory is copied, changed and put in the place of the old one."""
    folder = db.parent / "folder"
    new = Path(tempfile.mkdtemp(dir=db.parent))
    shutil.copytree(folder, new / "folder")
    (new / "folder" / str(os.getpid())).touch()
    shutil.rmtree(folder)
    shutil.move(new / "folder", folder)


def filed(db: Path) -> None:
    """Each puts a file of its own into the directory."""
    with tempfile.NamedTemporaryFile(dir=db.parent / "folder", delete=False):
        pass


def with_a_folder(db: Path) -> None:
    """A counter, and an empty directory."""
    set_up(db)
    (db.parent / "folder").mkdir()


def two_files(db: Path) -> Any:
    """Return whether both are there."""
    return len(list((db.parent / "folder").iterdir())) == 2


def two(db: Path) -> Any:
    """Return whether both have counted."""
    return counted(db) == 2


def raced(worker: Callable[[Path], None], rule: Callable[[Path], Any]) -> Scenario:
    """Return two of *worker*."""
    return scenario_of(setup=with_a_folder, worker=worker, invariant=rule)


@pytest.mark.parametrize(
    ("worker", "rule"),
    [(looked_for, one_gets_it), (written_in_place, two), (copied_and_moved, two_files)],
)
def test_the_race_is_found_and_replayed(worker: Callable[[Path], None], rule: Callable[[Path], Any]) -> None:
    """What was looked at has changed."""
    assert found_and_replayed(raced(worker, rule)).kind in ("at end", "error")


@pytest.mark.parametrize(
    ("worker", "rule"),
    [(touched, one_gets_it), (moved_away, one_gets_it), (filed, two_files)],
)
def test_the_corrected_program_is_valid(worker: Callable[[Path], None], rule: Callable[[Path], Any]) -> None:
    """In every interleaving."""
    valid_and_complete(raced(worker, rule))
