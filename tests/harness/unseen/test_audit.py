"""The audit of the shared directory: what the kernel tells and no step does is named; what steps tell is not."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest

from harness.control.testbed.audit import Audit
from harness.values.history import Access, Step
from harness.verdict import Verdict
from tests.harness.counter import explored, raced

LIBC = ctypes.CDLL(None)


def step(*accesses: tuple[str, str], kind: str = "file") -> Step:
    """Return a step that tells of *accesses*."""
    return Step("c0", 0, "c0", kind, "", "", None, 0.0, tuple(Access(*each) for each in accesses))


def names(audit: Audit, *steps: Step) -> list[str]:
    """Return what *steps* did not tell of."""
    return [touch.name.removeprefix("library:/shared/") for touch in audit.untold(steps, 0)]


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    """Return the audit of a directory with a file and a directory in it."""
    (tmp_path / "x").write_text("x")
    (tmp_path / "sub").mkdir()
    audit = Audit(str(tmp_path))
    assert not audit.off
    audit.begin()
    return audit


def test_a_change_that_was_told_of_is_nothing(audit: Audit, tmp_path: Path) -> None:
    """Of the content, of a name, of times."""
    (tmp_path / "x").write_text("y")
    assert names(audit, step(("data:x", "w"))) == []
    (tmp_path / "new").touch()
    assert names(audit, step(("data:new", "w"), ("list:.", "w"))) == []
    os.utime(tmp_path / "x")
    assert names(audit, step(("data:x", "w"))) == []


def test_a_change_that_was_not_told_of_is_named(audit: Audit, tmp_path: Path) -> None:
    """Not told of at all, told of another file, or told of as a look."""
    (tmp_path / "x").write_text("y")
    assert names(audit, step()) == ["x"]
    (tmp_path / "x").write_text("y")
    assert names(audit, step(("data:z", "w"), ("data:x", "r"))) == ["x"]
    (tmp_path / "x").rename(tmp_path / "y")
    assert names(audit, step(("data:x", "w"))) == ["y"]


def test_a_look_is_named_too(audit: Audit, tmp_path: Path) -> None:
    """In the executions in which looks are audited; the first are."""
    (tmp_path / "x").read_text()
    assert names(audit, step(("data:x", "r"))) == []
    (tmp_path / "x").read_text()
    assert names(audit, step()) == ["x"]
    (tmp_path / "x").read_text()
    audit.before()
    assert names(audit, step()) == []
    for _ in range(30):
        audit.begin()
    (tmp_path / "x").read_text()
    assert names(audit, step()) == []
    (tmp_path / "x").write_text("y")
    assert names(audit, step()) == ["x"]


def test_directories_are_followed(audit: Audit, tmp_path: Path) -> None:
    """One made later, one renamed, one put back before an execution."""
    (tmp_path / "a").mkdir()
    assert names(audit, step(("data:a", "w"), ("list:.", "w"))) == []
    (tmp_path / "a" / "x").touch()
    assert names(audit, step()) == ["a/x"]
    (tmp_path / "a").rename(tmp_path / "b")
    assert names(audit, step(("data:a", "w"), ("data:b", "w"))) == []
    (tmp_path / "b" / "y").touch()
    assert names(audit, step()) == ["b/y"]
    (tmp_path / "b" / "c").mkdir()
    audit.begin()
    (tmp_path / "b" / "c" / "z").touch()
    assert names(audit, step()) == ["b/c/z"]


def test_what_sqlite_does_belongs_to_its_statements(audit: Audit, tmp_path: Path) -> None:
    """To a worker that makes some; another that changes the file does it by another library."""
    (tmp_path / "db").write_bytes(b"SQLite format 3\0" + bytes(84))
    audit.begin()
    (tmp_path / "db").write_bytes(b"SQLite format 3\0" + bytes(85))
    assert names(audit, step()) == ["db"]
    assert names(audit, step(kind="sql")) == []
    (tmp_path / "db").write_bytes(b"SQLite format 3\0" + bytes(86))
    (tmp_path / "db-journal").touch()
    assert names(audit, step()) == []


def test_where_it_can_not_be_had_that_is_said(tmp_path: Path) -> None:
    """A note of each execution."""
    audit = Audit(str(tmp_path / "nowhere"))
    assert "can't be had here (No such file" in audit.notes[0]
    assert audit.untold((), 0) == []


def by_the_c_library(db: Path) -> None:
    """Write to a file past Python."""
    descriptor = LIBC["openat64"](-100, os.fsencode(db.parent / "page"), os.O_WRONLY)
    LIBC["pwritev"](descriptor, None, 0, 0)
    LIBC["dprintf"](descriptor, b"x")
    LIBC["close"](descriptor)


@pytest.mark.forks
def test_a_change_by_a_c_library_makes_the_verdict_unknown() -> None:
    """It is named with the file; it can be allowed."""

    def setup(db: Path) -> None:
        (db.parent / "page").write_bytes(bytes(8))

    result = explored(raced(by_the_c_library, setup=setup))
    assert result.verdict is Verdict.UNKNOWN
    assert any(
        "changed page in the shared directory by a way that the harness does not know" in r for r in result.reasons
    )
    assert explored(raced(by_the_c_library, setup=setup, allows=("library:*",))).verdict is Verdict.VALID
