"""Puts controlled locks in the places of those that modules made when they were imported, before there was a harness.

Found are the globals of modules, the attributes of classes, and those of instances that are globals, two levels deep. A
lock that is held, or kept elsewhere (a closure, a list), stays real.
"""

from __future__ import annotations

import _thread
import concurrent.futures
import queue
import sys
import threading
import typing
from collections.abc import Collection, Iterator, Set
from contextlib import suppress
from types import BuiltinFunctionType, FunctionType, GetSetDescriptorType, ModuleType, NoneType
from typing import Any

from harness.worker.instrument.threads.locks_in_memory import Lock, RLock, points_of
from harness.worker.instrument.threads.real_threads import Threads, renew
from harness.worker.virtual.rebind import KEEP

__all__ = ["Holding", "MadeBefore"]

_RealLock, _RealRLock = type(_thread.allocate_lock()), _thread.RLock
_RealSimpleQueue = queue.SimpleQueue
_LEVELS = 2
_NOT_ENTERED = (ModuleType, dict, list, tuple, str, bytes, int, float)
_TYPES = (typing.Any, typing.List, typing.Union[int, str], typing.AnyStr, list[int], int | str)  # noqa: UP006, UP007
_OF_MODULES = (queue.__spec__, queue.__loader__, annotations)
_PASSED_OVER = frozenset(
    {FunctionType, BuiltinFunctionType, NoneType, bool, *_NOT_ENTERED, *map(type, _TYPES), *map(type, _OF_MODULES)}
)
"""Most of what modules hold."""


class MadeBefore:
    """The locks so replaced. ``reset`` lets go of those that an execution has left held."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._locks: list[Lock | RLock] = []
        self._done: dict[int, tuple[Any, Any]] = {}

    def __repr__(self) -> str:
        return f"<MadeBefore locks={len(self._locks)}>"

    def replace(self, without: Set[str] = frozenset()) -> None:
        """Replace them in all modules that are loaded but those that go on with the real thing, and those *without* any."""
        for name, module in list(sys.modules.items()):
            if name in without or _goes_on(name):
                continue
            names = getattr(module, "__dict__", None)
            if isinstance(names, dict):
                self._in(names, name, points_of(name), _LEVELS)
        self._done.clear()

    def reset(self) -> None:
        """An execution is over: nobody has any of them."""
        for lock in self._locks:
            if lock.held:
                lock.reset()

    def _in(self, names: dict[str, Any], owner: str, points: int, levels: int) -> None:
        for key, value in list(names.items()):
            kind = type(value)
            if kind in _PASSED_OVER:
                continue
            if kind in _MAKERS:
                names[key] = self._instead(value, f"{owner}.{key}", points)
            elif issubclass(kind, type):
                if _defined_in(value, owner):
                    self._in_class(value, points)
            elif levels and id(value) not in self._done:
                inside = _inside(value)
                if inside is not None:
                    self._done[id(value)] = value, value
                    self._in(inside, f"{owner}.{key}", points, levels - 1)

    def _in_class(self, owner: type, points: int) -> None:
        for key, value in [item for item in vars(owner).items() if type(item[1]) in _MAKERS]:
            new = self._instead(value, f"{owner.__qualname__}.{key}", points)
            if new is not value:
                with suppress(AttributeError, TypeError):
                    setattr(owner, key, new)

    def _instead(self, value: Any, name: str, points: int) -> Any:
        """Return the replacement of *value*: itself, if it is no lock or can't be replaced."""
        make = _MAKERS.get(type(value))
        if make is None:
            return value
        if id(value) not in self._done:
            self._done[id(value)] = value, make(self, value, name, points)
        return self._done[id(value)][1]

    # By type

    def _lock(self, value: Any, name: str, points: int) -> Any:
        if value.locked():
            return value
        self._locks.append(new := Lock(name, points))
        return new

    def _rlock(self, value: Any, name: str, points: int) -> Any:
        if value._is_owned():
            return value
        self._locks.append(new := RLock(Lock(name, points)))
        return new

    def _condition(self, value: Any, name: str, points: int) -> Any:
        if not value._waiters:
            value.__init__(self._instead(value._lock, name, min(points, 1)))
        return value

    def _over_condition(self, value: Any, name: str, points: int) -> Any:
        self._condition(value._cond, name, points)
        return value

    def _queue(self, value: Any, name: str, points: int) -> Any:
        value.mutex = self._instead(value.mutex, name, min(points, 1))
        for condition in (value.not_empty, value.not_full, value.all_tasks_done):
            condition.__init__(value.mutex)
        return value

    def _simple_queue(self, value: Any, name: str, points: int) -> Any:
        new = queue._PySimpleQueue()  # type: ignore[attr-defined]
        for item in _drained(value):
            new.put(item)
        self._over_condition(new._count, name, points)
        return new

    def _pool(self, value: Any, _name: str, _points: int) -> Any:
        if not value._threads:
            renew(value)
            self._threads.pools.add(value)
        return value


class Holding:
    """Tells which modules hold anything that ``MadeBefore`` would replace, a few more at most, and replaces nothing."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], bool] = {}
        self._classes: dict[int, Any] = {}

    def any_in(self, values: Collection[Any], owner: str) -> bool:
        """Whether there is any in *values*, the globals of the module *owner*, but for its classes."""
        return not _goes_on(owner) and self._any(values, _LEVELS)

    def classes(self) -> set[str]:
        """Return the modules of the classes, among the values searched, that hold a lock."""
        found = set()
        for value in self._classes.values():
            attributes = vars(value)
            if not _MAKERS.keys().isdisjoint(map(type, list(attributes.values()))):
                found.add(attributes.get("__module__"))
        return found

    def _any(self, values: Collection[Any], levels: int) -> bool:
        kinds = set(map(type, values)) - _PASSED_OVER
        if not kinds.isdisjoint(_MAKERS):
            return True
        instances = {kind for kind in kinds if not issubclass(kind, type)}
        if levels == _LEVELS and len(instances) < len(kinds):
            kinds -= instances
            classes = [value for value in values if type(value) in kinds]
            self._classes.update(zip(map(id, classes), classes, strict=True))
        return bool(levels and instances) and any(
            self._any_inside(value, levels - 1) for value in values if type(value) in instances
        )

    def _any_inside(self, value: Any, levels: int) -> bool:
        key = id(value), levels
        if key not in self._known:
            self._known[key] = False
            inside = _inside(value)
            self._known[key] = inside is not None and self._any(list(inside.values()), levels)
        return self._known[key]


def _goes_on(module: str) -> bool:
    return module.partition(".")[0] in (*KEEP, "multiprocessing")


def _defined_in(value: type, module: str) -> bool:
    return vars(value).get("__module__") == module


def _inside(value: Any) -> dict[str, Any] | None:
    """Return the attributes of *value* if it is entered. Asks nothing that may run code of its class: it may be a proxy."""
    kind = type(value)
    if issubclass(kind, _NOT_ENTERED) or callable(value):
        return None
    for owner in kind.__mro__:
        getter = vars(owner).get("__dict__")
        if getter is not None:
            return getter.__get__(value) if type(getter) is GetSetDescriptorType else None
    return None


def _drained(items: Any) -> Iterator[Any]:
    with suppress(queue.Empty):
        while True:
            yield items.get_nowait()


_MAKERS: dict[type, Any] = {
    _RealLock: MadeBefore._lock,
    _RealRLock: MadeBefore._rlock,
    threading.Condition: MadeBefore._condition,
    threading.Event: MadeBefore._over_condition,
    threading.Semaphore: MadeBefore._over_condition,
    threading.BoundedSemaphore: MadeBefore._over_condition,
    threading.Barrier: MadeBefore._over_condition,
    queue.Queue: MadeBefore._queue,
    queue.LifoQueue: MadeBefore._queue,
    queue.PriorityQueue: MadeBefore._queue,
    _RealSimpleQueue: MadeBefore._simple_queue,
    concurrent.futures.ThreadPoolExecutor: MadeBefore._pool,
}
