"""Schedule points in locks between processes: those of ``multiprocessing`` and ``multiprocess``.

``Condition``, ``Event``, ``Barrier``, ``Value`` and ``Array`` are Python's own code over these. The count of a lock that
workers share is kept in memory that outlives them (``harness/boundary/inherited_locks.py``): no wait for it is real, and a
worker that is killed while it holds the lock never releases it. A lock that a worker makes itself keeps its semaphore.
"""

from __future__ import annotations

import _multiprocessing  # type: ignore[import-not-found]
import math
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain, islice
from os.path import basename
from time import sleep  # the real one, by name
from types import FunctionType
from typing import Any, Protocol

from harness.boundary import messages
from harness.boundary.inherited_locks import PACKAGES, Inherited
from harness.worker.controlled_threads import Wanted
from harness.worker.runtime import Aborted, Runtime
from harness.worker.source import where
from harness.worker.virtual.rebind import KEEP, Replacement

__all__ = ["ProcessLock", "ProcessLocks"]

_RealSemLock = _multiprocessing.SemLock
_RECURSIVE = 0
_LEVELS, _MOST = 3, 100
_MEMORY = "data:shared memory"
_FREELY = "a value in shared memory changed without a lock (to read or change one is no schedule point)"


class _Count(Protocol):
    """How often a lock can be taken."""

    def take(self) -> bool:
        """Take it once, if that can be done at once."""

    def give(self) -> None:
        """Let it go once."""

    def value(self) -> int:
        """Return how often it can be taken now."""


class _OnBoard:
    """That of a lock that workers share."""

    def __init__(self, inherited: Inherited, number: int) -> None:
        self._inherited, self._number = inherited, number

    def take(self) -> bool:
        free = self.value()
        if free:
            self._inherited.set(self._number, free - 1)
        return free > 0

    def give(self) -> None:
        self._inherited.set(self._number, self.value() + 1)

    def value(self) -> int:
        return self._inherited.count(self._number)


class _Real:
    """That of a lock that one worker has made."""

    def __init__(self, semaphore: Any) -> None:
        self.take: Callable[[], bool] = lambda: bool(semaphore.acquire(False))
        self.give, self.value = semaphore.release, semaphore._get_value


class ProcessLock:
    """Replaces *real*, a ``_multiprocessing.SemLock``; steps call it *name*."""

    def __init__(self, locks: ProcessLocks, real: Any, name: str, free: _Count) -> None:
        self._locks, self._real, self._free = locks, real, free
        self._name, self._resource = name, f"lock:{name}"
        self.kind, self.maxvalue, self.handle, self.name = real.kind, real.maxvalue, real.handle, real.name
        self.forget()

    def __repr__(self) -> str:
        return f"<ProcessLock {self._name} free={self._free.value()}>"

    def forget(self) -> None:
        """This process has it no more, and never had."""
        self._held, self._owner = 0, 0

    _after_fork = forget

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take the lock; return False if it is not to be had, at once or in virtual time."""
        runtime = self._locks.runtime
        if self.kind == _RECURSIVE and self._is_mine():
            self._held += 1
            return True
        seconds = math.inf if timeout is None else max(0.0, timeout)
        waits = bool(block) and seconds > 0
        if runtime.aborting:
            return self._taken() or (waits and runtime.unwinds())
        if not runtime.controlled:
            runtime.unseen()
            return self._taken() or (waits and self._wait_before_or_after(seconds))
        text = self._text(waits)
        runtime.park("lock", text, "", where(2))
        deadline = math.inf if seconds == math.inf else runtime.clock.tell() + seconds
        while not self._taken():
            if not waits:
                runtime.news.append(messages.busy((self._name,)))
            else:
                # A task that waits has seen that another holds the lock, even if it waits to the end of the execution.
                runtime.touched(self._resource, "r")
            if not waits or not runtime.block((self._name,), deadline):
                if runtime.aborting:
                    raise Aborted
                runtime.touched(self._resource, "r")
                return False
        runtime.touched(self._resource, "w")
        return True

    def _text(self, waits: bool) -> str:
        return f"acquire {self._name}" if waits else f"acquire {self._name} without waiting"

    def _taken(self) -> bool:
        if not self._free.take():
            return False
        self._held += 1
        self._owner = threading.get_ident()
        return True

    def _wait_before_or_after(self, seconds: float) -> bool:
        """Wait where no controller decides: only a thread of this worker could let it go."""
        runtime = self._locks.runtime
        if runtime.strand() is None or not runtime.begun:
            while not self._taken():
                sleep(0.001)
            return True
        until = runtime.clock.tell() + seconds
        wanted = Wanted(runtime.lane(), "lock", self._text(True), where(3), self._name, until)
        while not self._taken():
            if not runtime.wait_for(wanted):
                return False
        return True

    def release(self) -> None:
        """Let the lock go, once."""
        runtime = self._locks.runtime
        if self.kind == _RECURSIVE:
            if not self._is_mine():
                if runtime.aborting:
                    return
                raise AssertionError("attempt to release recursive lock not owned by thread")
            if self._held > 1:
                self._held -= 1
                return
        if runtime.controlled:
            runtime.park("lock", f"release {self._name}", "", where(2))
            runtime.touched(self._resource, "w")
        if self._free.value() >= self.maxvalue:
            if runtime.aborting:
                return
            raise ValueError("semaphore or lock released too many times")
        self._held -= 1
        self._free.give()
        runtime.released(self._name)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def held(self) -> bool:
        """Whether this process has it."""
        return self._held > 0

    def _count(self) -> int:
        return self._held

    def _is_mine(self) -> bool:
        return self._held > 0 and self._owner == threading.get_ident()

    def _get_value(self) -> int:
        runtime = self._locks.runtime
        if runtime.controlled and sys._getframe(1).f_code.co_name != "__repr__":
            runtime.park("lock", f"look at {self._name}", "", where(2))
            runtime.touched(self._resource, "r")
        runtime.unseen()
        return self._free.value()

    def _is_zero(self) -> bool:
        return self._get_value() == 0


class ProcessLocks:
    """Puts the points over the locks of *inherited*, and over those that are made from now on."""

    def __init__(self, runtime: Runtime, inherited: Inherited, functions: Mapping[str, Any]) -> None:
        self.runtime, self._inherited = runtime, inherited
        self._made: dict[tuple[str, int], int] = {}
        inherited.take_over()
        names = _names(inherited.locks, functions) if inherited.locks else {}
        self._shared: list[ProcessLock] = []
        for number, lock in enumerate(inherited.locks):
            name = names.get(id(lock)) or f"{type(lock).__name__} {number + 1} of multiprocessing"
            replaced = ProcessLock(self, lock._semlock, name, _OnBoard(inherited, number))
            self._shared.append(replaced)
            lock._semlock = replaced
            lock._make_methods()
        for package in PACKAGES:
            _look_up_anew(package)

    def begin(self) -> None:
        """An execution begins: this process has none of them."""
        self._made.clear()
        for lock in self._shared:
            lock.forget()

    @property
    def watches(self) -> bool:
        """Whether workers share memory."""
        return self._inherited.size > 0

    def say_what_memory(self) -> None:
        """Say whether the step under way has changed the shared memory.

        Reads can't be noticed. Where they are made under a lock, the lock orders them; without one, any step may have read.
        """
        if self._inherited.changed():
            self.runtime.touched(_MEMORY, "w")
            if not any(lock.held for lock in self._shared):
                self._inherited.note_free_use()
                self.runtime.news.append(messages.note(_FREELY))
        elif self._inherited.is_used_freely:
            self.runtime.touched(_MEMORY, "r")

    def make(self, kind: int, value: int, maxvalue: int, name: str, unlink: bool) -> Any:
        """Return a semaphore that the code under test makes."""
        runtime, real = self.runtime, _RealSemLock(kind, value, maxvalue, name, unlink)
        if not runtime.begun or runtime.strand() is None:
            return real
        place = where(2)
        at = (basename(place[0]), place[1]) if place else ("?", 0)
        number = self._made[at] = self._made.get(at, 0) + 1
        text = f"lock of {at[0]}:{at[1]}{f' ({number})' if number > 1 else ''}"
        return ProcessLock(self, real, text, _Real(real))

    def replacements(self) -> list[Replacement]:
        """Return the replacements that make a controlled lock of each lock made from now on."""
        make = lambda *arguments: self.make(*arguments)  # noqa: E731  # a function, which can have attributes
        make._rebuild = _RealSemLock._rebuild  # type: ignore[attr-defined]
        make.SEM_VALUE_MAX = _RealSemLock.SEM_VALUE_MAX  # type: ignore[attr-defined]
        return [Replacement(_RealSemLock, make, _multiprocessing, "SemLock")]


def _look_up_anew(package: str) -> None:
    """Make objects that have kept a lock's methods look them up each time, because that lock may be replaced."""
    for module, owner in (("synchronize", "Condition"), ("sharedctypes", "SynchronizedBase")):
        keeps: Any = getattr(sys.modules.get(f"{package}.{module}"), owner, None)
        if keeps is not None:
            for name in ("acquire", "release"):
                setattr(keeps, name, _of_lock(name))


def _of_lock(name: str) -> property:
    return property(lambda self: getattr(self._lock, name), lambda _self, _value: None)


# What a lock is called


def _names(locks: Iterable[Any], functions: Mapping[str, Any]) -> dict[int, str]:
    """Return names for those of *locks* that a closure of *functions* uses, or that lie beneath a global, by their ids."""
    left = {id(lock) for lock in locks}
    found: dict[int, str] = {}
    for module, name, value in chain(_of_closures(functions), _globals()):
        for inner, text in _inside(value, name, module, _LEVELS):
            if id(inner) in left:
                left.discard(id(inner))
                others = sum(other.partition(" (")[0] == text for other in found.values())
                found[id(inner)] = f"{text} ({others + 1})" if others else text
        if not left:
            break
    return found


def _of_closures(functions: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for function in functions.values():
        if isinstance(function, FunctionType):
            for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
                with suppress(ValueError):  # it is still empty
                    yield function.__module__, name, cell.cell_contents


def _globals() -> Iterator[tuple[str, str, Any]]:
    for module, loaded in list(sys.modules.items()):
        top = module.partition(".")[0]
        names = getattr(loaded, "__dict__", None)
        if top not in (*KEEP, *PACKAGES) and top not in sys.stdlib_module_names and isinstance(names, dict):
            for name, value in list(names.items()):
                yield module, name, value


def _inside(value: Any, name: str, module: str, levels: int) -> Iterator[tuple[Any, str]]:
    """Yield *value* and its parts, each with a name; objects are entered if *module* has made their class."""
    yield value, name
    if not levels:
        return
    if isinstance(value, list | tuple):
        inner = [(f"{name}[{number}]", each) for number, each in enumerate(value[:_MOST])]
    elif isinstance(value, dict):
        inner = [(f"{name}[{key!r}]", each) for key, each in islice(value.items(), _MOST)]
    else:
        made_by = getattr(value if isinstance(value, type) else type(value), "__module__", None)
        if not isinstance(made_by, str) or (made_by != module and made_by.partition(".")[0] not in PACKAGES):
            return
        # Of what has a lock of its own, the lock is what is meant.
        held = list(getattr(value, "__dict__", {}).items())
        inner = [(name if key == "_lock" else f"{name}.{key}", each) for key, each in held]
    for text, each in inner:
        yield from _inside(each, text, module, levels - 1)
