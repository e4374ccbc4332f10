"""Names, locks and removes the harness' own directories in a place that other programs use too."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["held", "own_directory", "shared_directory"]

_PREFIX = "race-harness-"
_MEMORY = Path("/dev/shm")
_YOUNG = 5.0
"""For so many seconds after it was made, a directory may not be locked yet."""


def shared_directory() -> Path:
    """Return the path for a fresh directory, on tmpfs if there is one; remove directories of dead controllers.

    The directory is not made here: first there must be a fork server that removes it whatever becomes of this process.
    """
    return own_directory(_MEMORY if os.access(_MEMORY, os.W_OK | os.X_OK) else Path(tempfile.gettempdir()))


def own_directory(root: Path) -> Path:
    """Return a path in *root* at which this process may make a directory; remove those of processes that are gone."""
    _sweep(root)
    return root / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold a lock on *directory* within the ``with`` statement, to show that it is in use.

    The process id in its name shows that only inside the same PID namespace; a lock is seen in all of them.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def _sweep(root: Path) -> None:
    for entry in root.glob(_PREFIX + "*"):
        owner = entry.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdecimal() and not Path("/proc", owner).exists() and _abandoned(entry):
            shutil.rmtree(entry, ignore_errors=True)


def _abandoned(directory: Path) -> bool:
    """Return whether no process has locked *directory*, and it is too old for its owner to be about to."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The file system's clock may differ a little from ours.
        return time.time() - os.fstat(descriptor).st_ctime > _YOUNG
    except OSError:
        return False
    finally:
        os.close(descriptor)
