"""Programs over files whose footprint is not a path's alone: other names, lengths, times, modes, locks, renamed directories."""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import struct
import time
from pathlib import Path
from typing import Any

from tests.harness.footprint_programs import Racy, look, plain

__all__ = ["RACY"]


def write(name: str, text: str, mode: str = "w") -> Any:
    """Return what opens *name*, and writes *text*."""

    def run(db: Path) -> None:
        with (db.parent / name).open(mode) as file:
            file.write(text)

    return run


def read(name: str) -> Any:
    """Return what reads *name*."""
    return lambda db: (db.parent / name).read_text()


def pair(look_at: Any) -> Any:
    """Return what says whether looking twice, with an open file, shows the same."""

    def run(db: Path) -> bool:
        with (db.parent / "a").open("rb") as file:
            return bool(look_at(file) == look_at(file))

    return run


def empties(db: Path) -> None:
    """Empty a file, and fill it again."""
    os.truncate(db.parent / "a", 0)
    os.truncate(db.parent / "a", 5)


def names_and_empties(db: Path) -> None:
    """Give a file a second name, and empty it by the first."""
    os.link(db.parent / "d" / "x", db.parent / "y")
    os.truncate(db.parent / "d" / "x", 0)


def flocks(file: Any) -> None:
    """Lock a file, and do something with it."""
    fcntl.flock(file, EXCLUSIVE)
    file.tell()


def writes_in_a_directory(db: Path) -> None:
    """Write two lines through a descriptor, one at a time."""
    with (db.parent / "d" / "x").open("r+", buffering=1) as file:
        file.write("n1\n")
        file.write("n2\n")


def moves_the_directory(db: Path) -> str:
    """Rename the directory, and read the file there."""
    os.rename(db.parent / "d", db.parent / "e")
    return (db.parent / "e" / "x").read_text()


def sums(db: Path) -> int:
    """Return how long the files of a directory are, as its listing has it."""
    return sum(entry.stat().st_size for entry in os.scandir(db.parent / "d"))


def links(db: Path) -> None:
    """Make a link in a directory."""
    plain(db)
    (db.parent / "d" / "link").symlink_to("../a")


def is_file(db: Path) -> list[bool]:
    """Say of a link in a listing whether it leads to a file."""
    return [entry.is_file() for entry in os.scandir(db.parent / "d") if entry.name == "link"]


def delivers(db: Path) -> None:
    """Make a file, later."""
    time.sleep(1)
    (db.parent / "d" / "mail").write_text("x")


def times(db: Path) -> tuple[float, float]:
    """Return the time of a directory, twice, later."""
    time.sleep(1)
    return (db.parent / "d").stat().st_mtime, (db.parent / "d").stat().st_mtime


def holds(take: Any) -> Any:
    """Return what takes a lock, does something under it, and lets it go by closing."""

    def run(db: Path) -> None:
        with (db.parent / "a").open("r+") as file:
            take(file)
            look(db)

    return run


def tries(take: Any, name: str = "a") -> Any:
    """Return what says whether a lock can be had."""

    def run(db: Path) -> str:
        with (db.parent / name).open("r+") as file:
            try:
                return f"got {take(file)}"
            except OSError:
                return "refused"

    return run


def request(kind: int) -> bytes:
    """Return what ``fcntl.fcntl`` takes for a lock on a whole file."""
    return struct.pack("hhqqi", kind, 0, 0, 0, 0)


def locked(file: Any) -> str:
    """Say whether another process would refuse a lock."""
    answer = fcntl.fcntl(file, fcntl.F_GETLK, request(fcntl.F_WRLCK))
    return "free" if struct.unpack("hhqqi", answer)[0] == fcntl.F_UNLCK else "taken"


def renames_and_tries(db: Path) -> str:
    """Rename a file, and try to lock it."""
    os.rename(db.parent / "a", db.parent / "z")
    return str(tries(lambda file: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB), "z")(db))


def by_descriptor(db: Path) -> bool:
    """Read a file twice by names that say its descriptor."""
    descriptor = os.open(db.parent / "a", os.O_RDWR)
    found = Path(f"/dev/fd/{descriptor}").read_text() == Path(f"/proc/self/fd/{descriptor}").read_text()
    os.close(descriptor)
    return found


def raw(db: Path) -> None:
    """Empty a file and write it, without ``open``."""
    with io.FileIO(str(db.parent / "a"), "w") as file:
        file.write(b"22")


def copies(db: Path) -> None:
    """Make a copy, then make it private."""
    shutil.copy2(db.parent / "a", db.parent / "copy")
    (db.parent / "copy").chmod(0o600)


def mode_of(name: str) -> Any:
    """Return what says the mode of *name*."""
    return lambda db: oct((db.parent / name).stat().st_mode & 0o777) if (db.parent / name).exists() else ""


def makes_private(db: Path) -> None:
    """Change a mode through a descriptor."""
    descriptor = os.open(db.parent / "a", os.O_RDWR)
    os.fchmod(descriptor, 0o600)
    os.close(descriptor)


def relative(db: Path) -> str:
    """Read two files by paths that begin where the process is."""
    before = os.getcwd()
    os.chdir(db.parent)
    try:
        return Path("a").read_text() + Path("d/x").read_text()
    finally:
        os.chdir(before)


def writes_one_then_the_other(db: Path) -> None:
    """Write the two that are read."""
    write("a", "2")(db)
    write("d/x", "new")(db)


EXCLUSIVE = fcntl.LOCK_EX | fcntl.LOCK_NB
REFUSED = "refused"

RACY = {
    "a file with two names, by path": Racy(
        plain, empties, lambda db: (db.parent / "same").stat().st_size, lambda _, two: two == 0
    ),
    "a file with two names, by descriptor": Racy(plain, write("a", "2"), read("same"), lambda _, two: two == ""),
    "a link made, then emptied": Racy(
        plain,
        names_and_empties,
        lambda db: os.path.getsize(db.parent / "y") if os.path.exists(db.parent / "y") else 0,
        lambda _, two: two == 3,
    ),
    "a directory renamed under a descriptor": Racy(
        plain, writes_in_a_directory, moves_the_directory, lambda _, two: two == "n1\n", raising=("FileNotFoundError",)
    ),
    "sizes in a listing": Racy(plain, sums, write("d/x", "+", "a"), lambda one, _: one == 4),
    "what a link in a listing leads to": Racy(
        links, is_file, lambda db: os.unlink(db.parent / "a"), lambda one, _: one == [False]
    ),
    "a directory's time": Racy(plain, times, delivers, lambda one, _: one[0] != one[1]),
    "a directory's links": Racy(
        plain,
        lambda db: (db.parent / "d").stat().st_nlink == (db.parent / "d").stat().st_nlink,
        lambda db: (db.parent / "d" / "e").mkdir(),
        lambda one, _: not one,
    ),
    "a walk": Racy(
        plain,
        lambda db: [name for _, _, names in os.walk(db.parent / "d") for name in names],
        lambda db: os.rename(db.parent / "d" / "x", db.parent / "d" / "y"),
        lambda one, _: one == ["y"],
    ),
    "length by seek": Racy(plain, pair(lambda file: file.seek(0, 2)), write("a", "b", "a"), lambda one, _: not one),
    "length by lseek": Racy(
        plain, pair(lambda file: os.lseek(file.fileno(), 0, 2)), write("a", "b", "a"), lambda one, _: not one
    ),
    "length by fstat": Racy(
        plain, pair(lambda file: os.fstat(file.fileno()).st_size), write("a", "b", "a"), lambda one, _: not one
    ),
    "length by appending": Racy(
        plain, lambda db: (db.parent / "a").open("a").tell(), write("a", "b", "a"), lambda one, _: one == 2
    ),
    "os.lockf": Racy(
        plain,
        holds(lambda file: os.lockf(file.fileno(), os.F_LOCK, 0)),
        tries(lambda file: os.lockf(file.fileno(), os.F_TLOCK, 0)),
        lambda _, two: two == REFUSED,
    ),
    "a lock asked about": Racy(
        plain, holds(lambda file: fcntl.lockf(file, fcntl.LOCK_EX)), tries(locked), lambda _, two: two == "got taken"
    ),
    "a lock by fcntl": Racy(
        plain,
        holds(lambda file: fcntl.fcntl(file, fcntl.F_SETLKW, request(fcntl.F_WRLCK))),
        tries(lambda file: fcntl.fcntl(file, fcntl.F_SETLK, request(fcntl.F_WRLCK))),
        lambda _, two: two == REFUSED,
    ),
    "a lock of an open file": Racy(
        plain,
        holds(lambda file: fcntl.fcntl(file, 38, request(fcntl.F_WRLCK))),
        tries(lambda file: fcntl.fcntl(file, 37, request(fcntl.F_WRLCK))),
        lambda _, two: two == REFUSED,
    ),
    "a lock by another name": Racy(
        plain, holds(lambda file: fcntl.flock(file, EXCLUSIVE)), tries(lambda file: fcntl.flock(file, EXCLUSIVE), "same"),
        lambda _, two: two == REFUSED,
    ),
    "a lock on a file that is renamed": Racy(
        plain, holds(flocks), renames_and_tries,
        lambda _, two: two == REFUSED, raising=("FileNotFoundError",),
    ),
    "paths by descriptor": Racy(plain, by_descriptor, write("a", "2"), lambda one, _: not one),
    "a raw file": Racy(plain, raw, read("a"), lambda _, two: two == ""),
    "a copy's mode": Racy(plain, copies, mode_of("copy"), lambda _, two: two == "0o644"),
    "a mode by descriptor": Racy(plain, makes_private, mode_of("a"), lambda _, two: two == "0o600"),
    "relative paths": Racy(plain, relative, writes_one_then_the_other, lambda one, _: one == "2old"),
}  # fmt: skip
