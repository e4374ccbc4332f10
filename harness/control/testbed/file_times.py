"""Reads when shared files were last changed, in virtual time, and sets these times on a copy."""

from __future__ import annotations

import marshal
import os
from collections.abc import Collection
from contextlib import suppress

__all__ = ["TIMES", "give_times", "times_of"]

TIMES = "\0times"
"""The key of the times in a snapshot."""


def times_of(root: str, real: int, without: Collection[str]) -> bytes:
    """Return the modification times of everything in *root*, marshalled; empty if no entry has one to tell.

    Times are nanoseconds since 1970. Those from the real time *real* on (in the same unit) are left out: they were not
    set to virtual time, and differ from run to run. So are the entries of *root* whose names are in *without*.
    """
    found: list[tuple[str, int]] = []
    with suppress(FileNotFoundError, PermissionError):
        _collect(root, "", real, without=without, found=found)
    if not found:
        return b""
    changed = os.lstat(root).st_mtime_ns
    if changed < real:
        found.append(("", changed))
    return marshal.dumps(sorted(found))


def _collect(root: str, prefix: str, real: int, *, without: Collection[str], found: list[tuple[str, int]]) -> None:
    with os.scandir(root) as entries:
        for entry in entries:
            if not prefix and entry.name in without:
                continue
            changed = entry.stat(follow_symlinks=False).st_mtime_ns
            if changed < real:
                found.append((prefix + entry.name, changed))
            if entry.is_dir(follow_symlinks=False):
                with suppress(FileNotFoundError, PermissionError):
                    _collect(entry.path, f"{prefix}{entry.name}/", real, without=without, found=found)


def give_times(root: str, times: bytes, now: int) -> None:
    """Set the modification times in the copy *root* to *times*, and those that it does not contain to *now*.

    *now* is in nanoseconds since 1970.
    """
    known = dict(marshal.loads(times)) if times else {}
    for folder, folders, files in os.walk(root, topdown=False):
        for name in (*files, *folders):
            path = f"{folder}/{name}"
            _give(path, known.get(path[len(root) + 1 :], now))
    _give(root, known.get("", now))


def _give(path: str, changed: int) -> None:
    os.utime(path, ns=(changed, changed), follow_symlinks=False)
