"""Virtual process ids behind ``os.getpid`` and ``os.getppid``; functions of ``os`` that take an id translate it back."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from harness.boundary.virtual_ids import PARENT, SETUP, ProcessIds
from harness.worker.runtime import Runtime
from harness.worker.source import where
from harness.worker.virtual.rebind import Replacement

__all__ = ["Identity"]

_getpid, _getppid, _kill, _gettid = os.getpid, os.getppid, os.kill, threading.get_native_id

_GENUINE = ("multiprocess", "multiprocessing", "harness")
"""The packages that get the real id, because they compare it with an id taken before."""

_TAKE_ONE = (
    "pidfd_open", "sched_getaffinity", "sched_setaffinity", "sched_getparam", "sched_getscheduler",
    "sched_rr_get_interval", "sched_setscheduler",
)  # fmt: skip
"""The functions of ``os``, beside ``kill``, that take a process id as their first argument and do not return one."""

_LASTING = ("cmdline", "exe", "stat", "status")
"""The files of a process in ``/proc`` that tell whether it lives and since when, which its steps do not change."""

_THREAD = 10_000_000
"""The step between the virtual ids of a process' threads; the main thread's id is that of the process."""


class Identity:
    """The virtual id of this process, and the translation between virtual and real ids."""

    def __init__(self, runtime: Runtime, ids: ProcessIds) -> None:
        self._runtime, self._ids = runtime, ids
        self.own = 0
        """The virtual id of this process, 0 where it has none."""
        self._threads: dict[int, int] = {}
        os.register_at_fork(after_in_child=self.be_nobody)

    def be_nobody(self) -> None:
        """Give this process its real id, because it has just been forked."""
        self.own = 0

    def be_setup(self) -> None:
        """Give this process the virtual id of the process that runs ``setup``."""
        self.own = SETUP

    def be(self, number: int) -> None:
        """Give this process the virtual id of process *number* of the execution under way."""
        self.own = self._ids.of(number)
        self._threads.clear()
        main: Any = threading.main_thread()
        main._native_id = self.own

    def getpid(self) -> int:
        """Stand in for ``os.getpid``."""
        if not self.own:
            return _getpid()
        caller = sys._getframe(1)
        genuine = str(caller.f_globals.get("__name__")).partition(".")[0] in _GENUINE
        # ``ident`` is multiprocessing's answer to the code under test about the running process, so it is virtual.
        return _getpid() if genuine and caller.f_code.co_name != "ident" else self.own

    def getppid(self) -> int:
        """Stand in for ``os.getppid``."""
        return PARENT if self.own else _getppid()

    def real(self, pid: int) -> int:
        """Return the real id for *pid*; raises ``ProcessLookupError`` for a virtual id that no living process has."""
        if not self.own or pid < PARENT:
            return pid
        if pid in (self.own, PARENT):
            return _getpid() if pid == self.own else _getppid()
        real = self._ids.real(pid)
        if real is None:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        return real

    def virtual(self, real: int) -> int:
        """Return the virtual id of the process with the id *real* if it has one, else *real*."""
        if real in (_getpid(), _getppid()):
            return self.own if real == _getpid() else PARENT
        return self._ids.living().get(real, real)

    def seen(self, virtual: int, text: str) -> int | None:
        """Return the real id of the process with the id *virtual*; None if it does not live or the id is not virtual.

        For the id of a worker this is a schedule point, described by *text*.
        """
        if virtual == PARENT:
            return _getppid()
        number = self._ids.number_of(virtual)
        if number is None:
            return None
        if self._runtime.controlled:
            self._runtime.park("process", text, "", where(3))
            lasting = text.rpartition("/")[2] in (*_LASTING, str(virtual))
            self._runtime.touched(f"{'life' if lasting else 'process'}:{number}", "r")
        return self._ids.real(virtual)

    def living(self, text: str) -> dict[int, int]:
        """Return the virtual ids of all processes by their real ids, after a schedule point described by *text*."""
        found = self._ids.living()
        if self._runtime.controlled:
            self._runtime.park("process", text, "", where(3))
            for virtual in (found := self._ids.living()).values():
                self._runtime.touched(f"life:{self._ids.number_of(virtual)}", "r")
        return {**found, _getppid(): PARENT}

    def get_native_id(self) -> int:
        """Stand in for ``threading.get_native_id``; the main thread's id is that of its process, as on Linux."""
        real = _gettid()
        if not self.own:
            return real
        if real == _getpid():
            return self.own
        return self.own + _THREAD * self._threads.setdefault(real, len(self._threads) + 1)

    def kill(self, pid: int, signal_: int, /) -> None:
        """Stand in for ``os.kill``: a schedule point if *pid* is another worker's, which may be alive or dead."""
        number = self._ids.number_of(pid)
        if number is None or pid == self.own or not self.own or not self._runtime.controlled:
            _kill(self.real(pid), signal_)
            return
        text = f"kill {pid} {signal.Signals(signal_).name if signal_ else 0}"
        self._runtime.park("process", text, "", where(2))
        self._runtime.touched(f"life:{number}", "w" if signal_ else "r")
        if signal_:
            self._runtime.touched(f"process:{number}", "w")
        _kill(self.real(pid), signal_)

    def replacements(self) -> list[Replacement]:
        """Return the replacements that put virtual ids in the place of real ids."""
        found = [
            Replacement(_getpid, self.getpid, os, "getpid"),
            Replacement(_getppid, self.getppid, os, "getppid"),
            Replacement(_kill, self.kill, os, "kill"),
            Replacement(_gettid, self.get_native_id, threading, "get_native_id"),
            Replacement(os.getpgrp, self._giving(os.getpgrp), os, "getpgrp"),
            Replacement(os.getpgid, self._giving(self._translating(os.getpgid)), os, "getpgid"),
            Replacement(os.getsid, self._giving(self._translating(os.getsid)), os, "getsid"),
        ]
        return found + [
            Replacement(original, self._translating(original), os, name)
            for name in _TAKE_ONE
            if (original := getattr(os, name, None)) is not None
        ]

    def _giving(self, function: Callable[..., int]) -> Callable[..., int]:
        @wraps(function)
        def call(*args: Any) -> int:
            found = function(*args)
            return self.virtual(found) if self.own else found

        return call

    def _translating(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def call(pid: int, *args: Any, **options: Any) -> Any:
            return original(self.real(pid), *args, **options)

        return call
