"""Virtual process ids behind ``os.getpid`` and ``os.getppid``, and what translates them back where ``os`` takes one."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from harness.process_ids import PARENT, SETUP, ProcessIds
from harness.worker.rebind import Replacement
from harness.worker.runtime import Runtime
from harness.worker.source import where

__all__ = ["Identity"]

_getpid, _getppid, _kill = os.getpid, os.getppid, os.kill

_GENUINE = ("multiprocess", "multiprocessing", "psutil", "harness")
"""Who gets the real id: what compares it with one taken before, or looks for it in ``/proc``."""

_TAKE_ONE = (
    "getpgid", "getsid", "pidfd_open", "sched_getaffinity", "sched_setaffinity", "sched_getparam", "sched_getscheduler",
    "sched_rr_get_interval", "sched_setscheduler",
)  # fmt: skip
"""Functions of ``os`` whose first argument is a process id, beside ``kill``."""


class Identity:
    """Which process of the exploration this one is."""

    def __init__(self, runtime: Runtime, ids: ProcessIds) -> None:
        self._runtime, self._ids = runtime, ids
        self._own = 0
        os.register_at_fork(after_in_child=self.be_nobody)

    def be_nobody(self) -> None:
        """From now on this process has its real id: it has just been forked."""
        self._own = 0

    def be_setup(self) -> None:
        """From now on this process is the one that runs ``setup``."""
        self._own = SETUP

    def be(self, number: int) -> None:
        """From now on this process is number *number* of the execution under way."""
        self._own = self._ids.of(number)

    def getpid(self) -> int:
        """Do what ``os.getpid`` does."""
        if not self._own:
            return _getpid()
        caller = sys._getframe(1)
        genuine = str(caller.f_globals.get("__name__")).partition(".")[0] in _GENUINE
        # What multiprocessing says of the running process is for others to see.
        return _getpid() if genuine and caller.f_code.co_name != "ident" else self._own

    def getppid(self) -> int:
        """Do what ``os.getppid`` does."""
        return PARENT if self._own else _getppid()

    def real(self, pid: int) -> int:
        """Return the real id for *pid*; raises ``ProcessLookupError`` for a virtual one that no living process has."""
        if not self._own or pid < PARENT:
            return pid
        if pid in (self._own, PARENT):
            return _getpid() if pid == self._own else _getppid()
        real = self._ids.real(pid)
        if real is None:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        return real

    def kill(self, pid: int, signal_: int, /) -> None:
        """Do what ``os.kill`` does: a schedule point where it is about another worker, which may be alive or not."""
        number = self._ids.number_of(pid)
        if number is None or pid == self._own or not self._own or not self._runtime.controlled:
            _kill(self.real(pid), signal_)
            return
        text = f"kill {pid} {signal.Signals(signal_).name if signal_ else 0}"
        self._runtime.park("process", text, "", where(2))
        self._runtime.touched(f"process:{number}", "w" if signal_ else "r")
        _kill(self.real(pid), signal_)

    def replacements(self) -> list[Replacement]:
        """Return what puts virtual ids in the places of real ones."""
        found = [
            Replacement(_getpid, self.getpid, os, "getpid"),
            Replacement(_getppid, self.getppid, os, "getppid"),
            Replacement(_kill, self.kill, os, "kill"),
        ]
        return found + [
            Replacement(original, self._translating(original), os, name)
            for name in _TAKE_ONE
            if (original := getattr(os, name, None)) is not None
        ]

    def _translating(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def call(pid: int, *args: Any, **options: Any) -> Any:
            return original(self.real(pid), *args, **options)

        return call
