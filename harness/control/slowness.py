"""Tells a worker that is slow from one that is stuck: by the processor time it gets, and by whether it imports."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress

__all__ = ["FIRST", "Watch"]

FIRST = 0.25
"""Seconds, or a quarter of the patience if that is less, after which a worker that has not reported is watched."""

_IMPORTING = 12
"""A worker that imports may use so many times the patience: the first import of a large library takes seconds."""

_AT_MOST = 24
"""No worker may take longer than so many times the patience, however little processor time it gets."""

_LOOKS = 8
"""How often it is looked at in the time of the patience."""

_IDLE = 0.02
"""Who got less than this part of the time on the processor, and waits for nothing but an event, has done nothing."""

_MARK = "importlib._bootstrap"
"""What the stack of a thread that imports has in it."""


class Watch:
    """Watches one worker from when it has kept the controller waiting for a short while. ``pause`` is when to look again."""

    def __init__(self, pid: int, patience: float, waited: float) -> None:
        self._pid, self._patience = pid, patience
        self._clock = (~pid << 3) | 2  # clock_getcpuclockid(3)
        self._began = self._idle_since = time.monotonic() - waited
        self._looked = time.monotonic()
        self._first = self._used = self._processor()
        self._waited = waited
        self.pause = int(patience * 1000 / _LOOKS) + 1

    def stuck(self, stack: Callable[[], str]) -> tuple[str, str]:
        """Look; return for how long it did what, in words, and its *stack*, if it is stuck, else two empty texts."""
        now, used = time.monotonic(), self._processor()
        if used - self._used > _IDLE * (now - self._looked) or self._is_runnable():
            self._idle_since = now
        self._looked, self._used = now, used
        patience, seconds = self._patience, now - self._began
        loops = used - self._first + self._waited
        idles = now - self._idle_since
        if max(loops, idles) < patience and seconds < _AT_MOST * patience:
            return "", ""
        shown = stack()
        most = patience * (_IMPORTING if _MARK in shown else 1)
        if loops >= most:
            return f"for {most:g} s of processor time: it loops", shown
        if idles >= most:
            return f"for {most:g} s: it waits in a call that the harness does not control", shown
        if seconds >= _AT_MOST * patience:
            return (
                f"for {_AT_MOST * patience:g} s: it is slow beyond measure, or loops on a machine that is busy",
                shown,
            )
        return "", ""

    def _processor(self) -> float:
        """Return the processor time of the process, in seconds."""
        with suppress(OSError):
            return time.clock_gettime(self._clock)
        return 0.0

    def _is_runnable(self) -> bool:
        """Whether a thread of the process runs, would run if there were a processor for it, or waits for a disk."""
        with suppress(OSError):
            for thread in os.listdir(f"/proc/{self._pid}/task"):
                with suppress(OSError), open(f"/proc/{self._pid}/task/{thread}/stat", "rb") as file:
                    if file.read().rpartition(b") ")[2][:1] in b"RD":
                        return True
        return False
