"""Small programs over files: each increments a counter once, rightly or not. Raced by ``test_files``."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MOMENT = 0.1


@dataclass(frozen=True)
class Program:
    """A worker, and whether two of it are right."""

    worker: Callable[[Path], None]
    correct: bool

    def __str__(self) -> str:
        return self.worker.__name__


PROGRAMS: list[Program] = []


def program(correct: bool) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Register a worker."""

    def register(worker: Callable[[Path], None]) -> Callable[[Path], None]:
        PROGRAMS.append(Program(worker, correct))
        return worker

    return register


def set_up(db: Path) -> None:
    """A counter of nothing."""
    (db.parent / "n").write_text("0")


def counted(db: Path) -> int:
    """Return what it counts."""
    return int((db.parent / "n").read_text())


def bump(db: Path) -> None:
    """Read, and write back."""
    path = db.parent / "n"
    path.write_text(str(int(path.read_text()) + 1))


@program(correct=False)
def read_and_write_back(db: Path) -> None:
    """Nothing keeps others out."""
    bump(db)


@contextlib.contextmanager
def holding(db: Path, how: int = fcntl.LOCK_EX) -> Iterator[int]:
    """Hold a lock of that kind on a file beside it, let go by closing."""
    with (db.parent / "lock").open("w") as file:
        fcntl.flock(file, how)
        yield file.fileno()


@program(correct=True)
def under_flock(db: Path) -> None:
    """Waits for the kernel's lock."""
    with holding(db):
        bump(db)


@program(correct=False)
def under_a_shared_flock(db: Path) -> None:
    """Two may share it."""
    with holding(db, fcntl.LOCK_SH):
        bump(db)


@program(correct=False)
def flock_let_go_too_early(db: Path) -> None:
    """Reads under the lock, writes after it."""
    with holding(db):
        n = counted(db)
    (db.parent / "n").write_text(str(n + 1))


@program(correct=True)
def flock_asked_again_and_again(db: Path) -> None:
    """Polls for it."""
    with (db.parent / "lock").open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(MOMENT)
        bump(db)
        fcntl.flock(file, fcntl.LOCK_UN)


@program(correct=True)
def under_lockf(db: Path) -> None:
    """A record lock on the counter itself."""
    with (db.parent / "n").open("r+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        n = int(file.read())
        file.seek(0)
        file.write(str(n + 1))


@program(correct=False)
def lockf_lost_by_closing_another(db: Path) -> None:
    """Closing any descriptor of the file lets a process' record locks go."""
    with (db.parent / "n").open("r+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        n = counted(db)  # opens it once more, and closes it
        file.write(str(n + 1))


@program(correct=True)
def exclusive_creation(db: Path) -> None:
    """One can make the lock file."""
    lock = db.parent / "lock"
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
            break
        except FileExistsError:
            time.sleep(MOMENT)
    bump(db)
    os.unlink(lock)


@program(correct=False)
def looked_for_then_created(db: Path) -> None:
    """Both may see no lock file."""
    lock = db.parent / "lock"
    while lock.exists():
        time.sleep(MOMENT)
    lock.touch()
    bump(db)
    lock.unlink(missing_ok=True)


@program(correct=True)
def directory_as_lock(db: Path) -> None:
    """``mkdir`` fails where there is one."""
    lock = db.parent / "lock"
    while True:
        try:
            lock.mkdir()
            break
        except FileExistsError:
            time.sleep(MOMENT)
    bump(db)
    lock.rmdir()


@program(correct=True)
def link_as_lock(db: Path) -> None:
    """``link`` fails where the name is taken."""
    while True:
        try:
            os.link(db.parent / "n", db.parent / "lock")
            break
        except FileExistsError:
            time.sleep(MOMENT)
    bump(db)
    os.unlink(db.parent / "lock")


@program(correct=False)
def replaced(db: Path) -> None:
    """A new file in its place: whole at any time, but a late one wins."""
    n = counted(db)
    with tempfile.NamedTemporaryFile("w", dir=db.parent, delete=False) as file:
        file.write(str(n + 1))
    os.replace(file.name, db.parent / "n")


@program(correct=False)
def one_temporary_name(db: Path) -> None:
    """Under a lock, but the counter is moved in after it."""
    with holding(db):
        temporary = db.parent / "n.new"
        temporary.write_text(str(counted(db) + 1))
    shutil.move(temporary, db.parent / "n")


@program(correct=False)
def buffered_under_a_lock(db: Path) -> None:
    """What was written is flushed when the file is closed, after the lock."""
    with (db.parent / "n").open("r+") as file, holding(db):
        n = int(file.read())
        file.seek(0)
        file.write(str(n + 1))


@program(correct=False)
def through_an_old_descriptor(db: Path) -> None:
    """Writes to a file that another has moved away meanwhile."""
    with (db.parent / "n").open("r+") as file, holding(db):
        n = counted(db)
        file.write(str(n + 1))
        file.flush()
        os.rename(db.parent / "n", db.parent / "old")
        shutil.copyfile(db.parent / "old", db.parent / "n")


@program(correct=False)
def behind_a_symbolic_link(db: Path) -> None:
    """Where a link points is read, then changed."""
    link = db.parent / "current"
    with contextlib.suppress(FileExistsError):
        link.symlink_to("n")
    n = int(link.read_text())
    link.write_text(str(n + 1))


@program(correct=False)
def numbered_by_listing(db: Path) -> None:
    """As many files as there are, and one more: two may choose the same name."""
    number = len([name for name in os.listdir(db.parent) if name.startswith("part")])
    (db.parent / f"part{number}").touch()
    (db.parent / "n").write_text(str(number + 1))


@program(correct=True)
def appended(db: Path) -> None:
    """Each appends in one write, and what is counted is how much there is."""
    log = db.parent / "log"
    with log.open("a") as file:
        file.write("x")
    with holding(db):
        (db.parent / "n").write_text(str(log.stat().st_size))
