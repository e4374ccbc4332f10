"""A directory is put back exactly as it was taken, whatever was done to it meanwhile."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

import harness
from harness import Check, Scenario, Workload
from harness.control.testbed.replica import collect, lay_out


def furnish(place: Path) -> None:
    """Make one entry of each kind in *place*."""
    (place / "plain").write_text("1")
    (place / "script").write_text("#!/bin/sh\n")
    (place / "script").chmod(0o755)
    (place / "sticky").mkdir()
    (place / "sticky").chmod(0o1777)
    (place / "sticky" / "b").write_bytes(b"b" * 100_000)
    (place / "sticky" / "a").write_text("")
    os.link(place / "sticky" / "b", place / "also b")
    (place / "closed").mkdir()
    (place / "closed" / "in").write_text("x")
    (place / "closed").chmod(0o500)
    (place / "empty").mkdir(mode=0o700)
    os.mkfifo(place / "pipe", 0o600)
    (place / "there").symlink_to("plain")
    (place / "nowhere").symlink_to("../away")
    with (place / "holes").open("wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"middle")
    (place / "secret").write_text("s")
    (place / "secret").chmod(0o000)


def described(place: Path) -> list[object]:
    """Return all that ``stat`` tells of everything in *place*, in the order of listing, but for numbers and times."""
    found: list[object] = [stat.S_IMODE(place.stat().st_mode)]
    groups: dict[int, int] = {}
    for folder, folders, names in os.walk(place):
        for name in (*folders, *names):
            path = Path(folder, name)
            info = path.lstat()
            same = groups.setdefault(info.st_ino, len(groups))
            size = 0 if path.is_dir() else info.st_size
            found.append((str(path.relative_to(place)), info.st_mode, info.st_nlink, info.st_uid, size, same))
    return found


def test_what_was_taken_is_put_back_whatever_happened(tmp_path: Path) -> None:
    """Kinds, modes, links, holes, the order of listing; twice, and over a changed directory."""
    world = tmp_path / "world"
    world.mkdir()
    furnish(world)
    before, files = described(world), {}
    collect(str(world), files)
    assert sum(map(len, files.values())) < 200_000  # holes are not read
    for change in (lambda: None, lambda: (world / "plain").chmod(0o600), lambda: (world / "also b").unlink()):
        change()
        lay_out(str(world), files)
        again: dict[str, bytes] = {}
        collect(str(world), again)
        assert list(again.items()) == list(files.items())
        assert sorted(map(str, described(world))) == sorted(map(str, before))


@pytest.mark.parametrize("change", ["chmod", "link", "folder"])
def test_a_change_that_is_no_content_is_seen(tmp_path: Path, change: str) -> None:
    """Two states that differ in a mode, or in whether two names are one file, are two."""
    for name in ("a", "b"):
        (tmp_path / name).write_text("1")
    (tmp_path / "d").mkdir()
    before: dict[str, bytes] = {}
    collect(str(tmp_path), before)
    if change == "chmod":
        (tmp_path / "a").chmod(0o640)
    elif change == "folder":
        (tmp_path / "d").chmod(0o700)
    else:
        (tmp_path / "b").unlink()
        os.link(tmp_path / "a", tmp_path / "b")
    after: dict[str, bytes] = {}
    collect(str(tmp_path), after)
    assert before != after


# --- in executions --------------------------------------------------------------------------------


def set_up(db: Path) -> None:
    """Leave one entry of each kind, one of them old."""
    furnish(db.parent)
    os.utime(db.parent / "script", (1_600_000_000, 1_600_000_000))


def finds_and_spoils(db: Path) -> list[object]:
    """Say what is there, then change it."""
    place = db.parent
    script = (place / "script").stat()
    found = [oct(script.st_mode), script.st_mtime, (place / "plain").stat().st_mtime]
    found += [oct((place / name).lstat().st_mode) for name in ("sticky", "closed", "empty", "pipe", "secret")]
    found += [os.path.samefile(place / "also b", place / "sticky" / "b"), (place / "there").read_text()]
    (place / "script").chmod(0o600)
    os.utime(place / "script", (1, 1))
    (place / "also b").unlink(missing_ok=True)
    (place / "pipe").unlink(missing_ok=True)
    (place / "closed").chmod(0o777)
    return found


FOUND = [
    "0o100755", 1.6e9, 1.7e9, "0o41777", "0o40500", "0o40700", "0o10600", "0o100000", True, "1",
]  # fmt: skip


@pytest.mark.forks
def test_each_execution_finds_what_setup_left() -> None:
    """The fourth as the first."""
    told: list[object] = []

    def note(history: harness.History, _: Path) -> None:
        told.append(history.outcomes()[0].value)

    scenario = Scenario(
        name="finds", setup=set_up, operations={"finds": finds_and_spoils},
        workload=lambda _: Workload.each("finds", workers=1), workers=1,
        postconditions=(Check("told", note),),
    )  # fmt: skip
    harness.run(scenario, scheduler="random", max_executions=4)
    assert told
    assert all(each == FOUND for each in told), told


def makes_private(db: Path) -> None:
    """Make a file that nobody else may read."""
    os.close(os.open(db.parent / "private", os.O_CREAT | os.O_WRONLY, 0o600))


def shares(db: Path) -> None:
    """Give it to all."""
    (db.parent / "private").chmod(0o644)


@pytest.mark.forks
@pytest.mark.parametrize(("operations", "broken"), [((makes_private,), False), ((makes_private, shares), True)])
def test_rules_see_modes(operations: tuple[object, ...], broken: bool) -> None:
    """A rule about modes holds of a private file, and is asked again where nothing but the mode has changed."""

    def private(db: Path) -> None:
        path = db.parent / "private"
        assert not path.exists() or stat.S_IMODE(path.stat().st_mode) == 0o600, oct(path.stat().st_mode)

    def all_of_them(db: Path) -> None:
        for operation in operations:
            operation(db)  # type: ignore[operator]

    scenario = Scenario(
        name="private", setup=lambda _: None, operations={"all": all_of_them},
        workload=lambda _: Workload.each("all", workers=1), workers=1, invariants=(Check("private", private),),
    )  # fmt: skip
    result = harness.run(scenario)
    assert (result.verdict.name == "INVALID") is broken, result.reasons
