"""When shared files were changed last, in virtual time: as a value, and given to a copy."""

from __future__ import annotations

import marshal
import os
from collections.abc import Collection
from contextlib import suppress

__all__ = ["TIMES", "give_times", "times_of"]

TIMES = "\0times"
"""What the times are called in a snapshot."""


def times_of(root: str, real: int, without: Collection[str]) -> bytes:
    """Return the times of change (ns) of what is in *root*, marshalled; an empty value where there is none to be told.

    Those after the real time *real* are left out: nobody has put them in virtual time, they are another in each run. So
    are the entries of *root* called one of *without*.
    """
    found: list[tuple[str, int]] = []
    with suppress(FileNotFoundError, PermissionError):
        _collect(root, "", real, without, found)
    if not found:
        return b""
    changed = os.lstat(root).st_mtime_ns
    if changed < real:
        found.append(("", changed))
    return marshal.dumps(sorted(found))


def _collect(root: str, prefix: str, real: int, without: Collection[str], found: list[tuple[str, int]]) -> None:
    with os.scandir(root) as entries:
        for entry in entries:
            if not prefix and entry.name in without:
                continue
            changed = entry.stat(follow_symlinks=False).st_mtime_ns
            if changed < real:
                found.append((prefix + entry.name, changed))
            if entry.is_dir(follow_symlinks=False):
                with suppress(FileNotFoundError, PermissionError):
                    _collect(entry.path, f"{prefix}{entry.name}/", real, without, found)


def give_times(root: str, times: bytes, now: int) -> None:
    """Have everything in the copy *root* be as old as *times* says, and what that does not tell of be changed *now* (ns)."""
    known = dict(marshal.loads(times)) if times else {}
    for folder, folders, files in os.walk(root, topdown=False):
        for name in (*files, *folders):
            path = f"{folder}/{name}"
            _give(path, known.get(path[len(root) + 1 :], now))
    _give(root, known.get("", now))


def _give(path: str, changed: int) -> None:
    os.utime(path, ns=(changed, changed), follow_symlinks=False)
