"""After every test that starts processes: none of them is left, nor anything of theirs on tmpfs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.database import DirectoryBasedExampleDatabase


def children() -> list[str]:
    """Return the command lines of this process's children, dead ones not waited for included."""
    found = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [f"{pid} {Path('/proc', pid, 'cmdline').read_text()!r}" for pid in found]


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves a process or a directory behind."""
    if request.node.get_closest_marker("forks") is None:
        yield
        return
    before = children()
    yield
    assert children() == before
    assert not list(Path("/dev/shm").glob(f"race-harness-{os.getpid()}-*"))


@pytest.fixture
def own_examples(tmp_path: Path) -> Iterator[None]:
    """Hypothesis with an empty example database of the test's own."""
    settings.register_profile("own examples", deadline=None, database=DirectoryBasedExampleDatabase(tmp_path))
    settings.load_profile("own examples")
    yield
    settings.load_profile("project")
