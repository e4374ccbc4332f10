"""Notices that the file system of the shared directory is full, and says so."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from harness.control.testbed.shortage import Shortage, told_of_shortage
from harness.values.history import Event, Step

__all__ = ["LEAST", "NoRoom", "check_room", "no_room", "short"]

LEAST = 1 << 20
"""Bytes that must be free: with less, SQLite soon can't write its journal, and any failure may come from that."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_SAID = ("database or disk is full", "No space left on device", "Disk quota exceeded")


class NoRoom(Shortage):
    """The file system with the shared directory is full."""


def no_room(directory: str | Path, error: OSError) -> OSError | NoRoom:
    """Return the exception to raise for *error*: ``NoRoom`` if the file system is full, else *error* itself."""
    return NoRoom(_text(directory, str(error.strerror))) if error.errno in _FULL else error


def check_room(directory: Path) -> None:
    """Raise ``NoRoom`` if less than ``LEAST`` bytes are free in the file system of *directory*."""
    if why := _too_little(directory):
        raise NoRoom(why)


def short(directory: str | Path, events: Iterable[Event], steps: Iterable[Step]) -> str:
    """Return why an execution can't be judged, if the machine ran short of something; else an empty string.

    That is so if too little room is free now, or if a call was told of a shortage of any kind. A call that was told of
    a full disk counts only if no step is a full disk that the schedule injected.
    """
    events = tuple(events)
    if why := _too_little(directory) or told_of_shortage(events):
        return why
    told = next((str(event.value) for event in events if any(said in str(event.value) for said in _SAID)), "")
    if told and not any(step.kind == "full" for step in steps):
        return _text(directory, f"a call was told {told!r}")
    return ""


def _too_little(directory: str | Path) -> str:
    room = os.statvfs(directory)
    free = room.f_bavail * room.f_frsize
    return _text(directory, f"{free:,} bytes are free, and {LEAST:,} must be") if free < LEAST else ""


def _text(directory: str | Path, what: str) -> str:
    return (
        f"The file system with the shared directory {str(directory)!r} is full ({what}), so nothing that runs there can be "
        "judged. Usual causes: a small /dev/shm, as containers have it (give it more: --shm-size), what others left there "
        "(see `df`), or a setup that makes much data."
    )
