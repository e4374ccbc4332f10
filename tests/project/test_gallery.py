"""The gallery of reports is what the commands write today."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project.gallery import FOLDER, make, texts
from tests.project.sources import ROOT


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of the repository that git ignores, for reports refer to files in it."""
    folder = Path("reports") / "gallery-of-a-test"
    yield folder
    shutil.rmtree(ROOT / folder, ignore_errors=True)


@pytest.mark.forks
@pytest.mark.slow
def test_it_is_current(place: Path) -> None:
    """Each file but for durations and versions; `make gallery` writes it anew."""
    made, kept = make(place), texts(FOLDER)
    assert made.keys() == kept.keys()
    assert [name for name in made if made[name] != kept[name]] == [], "make gallery"
