"""Directories of the harness' own in a place that others use too: made, held while in use, removed when nobody holds them."""

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
"""Seconds in which a directory may have been made and not been locked yet."""


def shared_directory() -> Path:
    """Return where a fresh directory is to be made, on tmpfs where there is one; remove what dead controllers left.

    Not made yet: first there must be a fork server that removes it, whatever becomes of this process.
    """
    return own_directory(_MEMORY if os.access(_MEMORY, os.W_OK | os.X_OK) else Path(tempfile.gettempdir()))


def own_directory(root: Path) -> Path:
    """Return where in *root* this process may make a directory; remove those of processes that are gone."""
    _sweep(root)
    return root / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold a lock on *directory* meanwhile: its owner's process id means nothing in another PID namespace, the lock does."""
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
    """Return whether nobody holds *directory*, which is not so new that its owner may just be about to."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The clock of files, as seen by the file system, may be another than ours by a little.
        return time.time() - os.fstat(descriptor).st_ctime > _YOUNG
    except OSError:
        return False
    finally:
        os.close(descriptor)
