"""Locks in the memory of a worker: to take one is a schedule point while other threads run, and no wait for one is real.

The real lock stays inside and says which thread has it, so that it works before, during and after an execution. What is built
of locks (``Condition``, ``Event``, ``Semaphore``, ``Barrier``, ``queue``) is Python's own code over these.
"""

from __future__ import annotations

import _thread
import math
import sys
import threading
from collections.abc import Callable
from itertools import count
from os import getpid
from os.path import basename
from types import FrameType
from typing import Any, ClassVar

from harness.boundary import messages
from harness.worker.controlled_threads import Wanted
from harness.worker.runtime import Runtime
from harness.worker.source import where

__all__ = ["ENTRY", "QUIET", "Lock", "Locks", "RLock", "kind", "points_of"]

QUIET, ENTRY, BOTH = range(3)
"""When an operation on a free lock is a point: never, on taking the lock, on taking and on releasing it.

Code that tries a lock without waiting sees whether another thread holds it, so releasing a lock that the code under test made
is a point. Of a lock that the standard library makes for its own use only a wait is one: no other code sees what it protects.
"""

_GENUINE = ("harness", "importlib", "_frozen_importlib", "multiprocess", "multiprocessing")
"""Packages whose locks stay real: the harness, the import system (taken by the first import), and locks between processes."""

_OWN_USE = ("concurrent", "logging", "subprocess", "functools", "tempfile", "asyncio")
_BENEATH = "harness.worker.instrument.threads.real_threads"
"""What lies beneath the code of a thread."""

_BUILT_ON_LOCKS = ("threading", "queue")

_real_lock, _RealRLock = _thread.allocate_lock, _thread.RLock
_WAIT = threading.Condition.wait.__code__
_OF_THREADS = (threading.Thread.__init__.__code__, threading.Thread.start.__code__)
"""A thread's own event tells its parent that it runs, before the runtime knows it."""

_numbers = count(1)


class Lock:
    """Replaces ``threading.Lock`` in an execution."""

    __slots__ = ("__weakref__", "_points", "_real", "_resource", "_waited", "name")
    runtime: ClassVar[Runtime]

    def __init__(self, name: str, points: int) -> None:
        self.name, self._points = name, points
        self._real = _real_lock()
        self._resource = ""
        self._waited = False

    def __repr__(self) -> str:
        return f"<{'locked' if self._real.locked() else 'unlocked'} {self.name}>"

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; return False if it is not to be had, at once or in virtual time."""
        runtime = self.runtime
        if not (self._points and runtime.threads and runtime.controlled) and self._real.acquire(False):
            return True
        if runtime.strand() is None or not runtime.begun:
            if runtime.controlled:
                thread = threading.current_thread().name
                runtime.news.append(messages.outside(f"acquire {self.name} in thread {thread!r}", ""))
            return self._real.acquire(blocking, timeout)
        if runtime.aborting:
            return self._real.acquire(False) or (blocking and runtime.unwinds())
        if not blocking or timeout == 0:
            self._turn("acquire without waiting")
            return self._real.acquire(False)
        if timeout < 0 and timeout != -1:
            raise ValueError("timeout value must be a non-negative number")
        if not self._real.locked():
            self._turn("acquire")
        return self._real.acquire(False) or self._wait(timeout)

    def _wait(self, timeout: float) -> bool:
        # To find the lock taken after all is a step like any other: from then on nobody else need be asked about turns.
        runtime = self.runtime
        if not self._resource:
            self._resource = f"lock {next(_numbers)} of process {getpid()}"
        deadline = math.inf if timeout < 0 else runtime.clock.tell() + timeout
        wanted = Wanted(runtime.lane(), "lock", self._text("acquire"), where(2), self._resource, deadline)
        again = False
        while not self._real.acquire(False):
            self._waited, asked = True, runtime.controlled
            if not runtime.wait_for(wanted, again):
                return False
            again = asked
        return True

    def release(self) -> None:
        """Let the lock go."""
        runtime = self.runtime
        if self._points == BOTH and runtime.threads and self._real.locked():
            self._turn("release")
        try:
            self._real.release()
        except RuntimeError:
            if not runtime.aborting:
                raise
        if self._waited:
            self._waited = False
            runtime.released(self._resource)

    def locked(self) -> bool:
        """Return whether somebody has the lock."""
        if self._points == BOTH and self.runtime.threads:
            self._turn("look at")
        return self._real.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def held(self) -> bool:
        """Whether somebody has the lock; to ask is no point."""
        return self._real.locked()

    def _is_owned(self) -> bool:
        """Stand in for the test by which ``Condition`` tries to acquire the lock."""
        return self._real.locked()

    def _at_fork_reinit(self) -> None:
        self._real = _real_lock()
        self._waited = False

    acquire_lock, release_lock, locked_lock = acquire, release, locked
    reset = _at_fork_reinit

    def _turn(self, verb: str) -> None:
        if self._points and self.runtime.threads:
            self.runtime.take_turn("lock", self._text(verb), "", where(3))

    def _text(self, verb: str) -> str:
        """Return the call of the code under test: the function of ``threading`` or ``queue`` that it has called, if any."""
        frame: FrameType | None = sys._getframe(1)
        called = ""
        while frame is not None and frame.f_globals.get("__name__") in (*_BUILT_ON_LOCKS, __name__):
            name = frame.f_code.co_qualname
            if name == "Thread.run":
                break
            if frame.f_globals["__name__"] != __name__ and not name.startswith("_RLock"):
                called = name.removeprefix("_Py").replace("__enter__", "acquire").replace("__exit__", "release")
            frame = frame.f_back
        return called or f"{verb} {self.name}"


class RLock(threading._PyRLock):  # type: ignore[name-defined,misc]
    """Replaces ``threading.RLock`` in an execution: Python's own, over a ``Lock``."""

    def __init__(self, block: Lock) -> None:
        self._block = block
        self._owner: int | None = None
        self._count = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock, or take it once more, and return whether that was done. (The one written in Python returns 1.)"""
        return bool(super().acquire(blocking, timeout))

    __enter__ = acquire

    def release(self) -> None:
        """Let the lock go once."""
        if self._block.runtime.aborting and not self._is_owned():
            return
        super().release()

    def _release_save(self) -> Any:
        return (1, self._owner) if self._block.runtime.aborting and not self._count else super()._release_save()

    @property
    def held(self) -> bool:
        """Whether somebody has the lock; to ask is no point."""
        return self._block.held

    def reset(self) -> None:
        """Release the lock, whichever thread holds it."""
        self._at_fork_reinit()


class Locks:
    """Makes the locks that the code under test asks for."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = Lock.runtime = runtime
        self._made: dict[tuple[str, int], int] = {}

    def begin(self) -> None:
        """An execution begins: locks are named anew."""
        self._made.clear()

    def lock(self, frame: FrameType) -> Any:
        """Return the lock that the code in *frame* asks for."""
        return self._asked_by(frame) or _real_lock()

    def rlock(self, frame: FrameType) -> Any:
        """Return the lock that the code in *frame* asks for, one that its owner can take again."""
        block = self._asked_by(frame)
        return RLock(block) if block is not None else _RealRLock()

    def _asked_by(self, asking: FrameType) -> Lock | None:
        runtime = self.runtime
        if not runtime.begun or runtime.strand() is None:
            return None
        frame: FrameType | None = asking
        points = BOTH
        while frame is not None and (module := frame.f_globals.get("__name__", "")) in _BUILT_ON_LOCKS:
            if frame.f_code in _OF_THREADS:
                return None
            points = QUIET if frame.f_code is _WAIT or points == QUIET else ENTRY
            if module == "queue":
                return Lock("lock", points)
            frame = frame.f_back
        if frame is None or frame.f_globals["__name__"] == _BENEATH:
            return Lock("lock", points)
        top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if top in _GENUINE:
            return None
        return Lock(self._named(frame), QUIET if top in _OWN_USE else points)

    def _named(self, frame: FrameType) -> str:
        place = basename(frame.f_code.co_filename), frame.f_lineno
        number = self._made[place] = self._made.get(place, 0) + 1
        return f"lock of {place[0]}:{place[1]}{f' ({number})' if number > 1 else ''}"


def points_of(module: str) -> int:
    """Return when a lock made by *module* is a point."""
    return QUIET if module.partition(".")[0] in _OWN_USE else BOTH


def kind(name: str, make: Callable[[FrameType], Any], types: tuple[Any, ...]) -> Any:
    """Return a class that makes its objects by *make*, and takes objects of *types* for its own."""

    class Kind(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, types)

    def new(_: Any, *_arguments: Any, **_options: Any) -> Any:
        return make(sys._getframe(1))

    return Kind(name, (), {"__new__": new, "__module__": "threading"})
