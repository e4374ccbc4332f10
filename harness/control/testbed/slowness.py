"""Tells a slow worker from a stuck one, by the processor time that it gets and by whether it is importing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress

__all__ = ["FIRST", "Watch"]

FIRST = 0.25
"""Seconds, or a quarter of the patience if that is less, after which a worker that has not reported is watched."""

_IMPORTING = 12
"""A worker that is importing may use so many times the patience: importing a large library takes seconds."""

_AT_MOST = 24
"""No worker may take longer than so many times the patience, however little processor time it gets."""

_LOOKS = 8
"""The number of looks at a worker within the patience."""

_IDLE = 0.02
"""A worker was idle if it was on a processor for less than this part of the time, and no thread waits for one."""

_MARK = "importlib._bootstrap"
"""A text in the stack of every thread that is importing."""


class Watch:
    """Watches a worker that has not reported for *waited* seconds; look again after ``pause`` milliseconds."""

    def __init__(self, pid: int, patience: float, waited: float) -> None:
        self._pid, self._patience = pid, patience
        self._clock = (~pid << 3) | 2  # clock_getcpuclockid(3)
        self._began = self._idle_since = time.monotonic() - waited
        self._looked = time.monotonic()
        self._first = self._used = self._processor()
        self._waited = waited
        self.pause = int(patience * 1000 / _LOOKS) + 1

    def stuck(self, stack: Callable[[], str]) -> tuple[str, str]:
        """Look at the worker; if it is stuck, return in words how, and its *stack*; else two empty strings.

        It is stuck if it looped or idled for as long as the patience (or more, see ``_IMPORTING``), or took
        ``_AT_MOST`` times the patience in all.
        """
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
        """Return the processor time of the process, in seconds; 0 if it is gone."""
        with suppress(OSError):
            return time.clock_gettime(self._clock)
        return 0.0

    def _is_runnable(self) -> bool:
        """Return whether a thread of the process runs, or waits for a processor or a disk."""
        with suppress(OSError):
            for thread in os.listdir(f"/proc/{self._pid}/task"):
                with suppress(OSError), open(f"/proc/{self._pid}/task/{thread}/stat", "rb") as file:
                    if file.read().rpartition(b") ")[2][:1] in b"RD":
                        return True
        return False
