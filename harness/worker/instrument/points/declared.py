"""Schedule points that a scenario declares: a call parks, runs, and counts as accessing the declared resources."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from harness.points import Point, resolve
from harness.worker.instrument.sqlite.statements import shown
from harness.worker.instrument.uncontrolled.outside import POINT
from harness.worker.runtime import Runtime
from harness.worker.source import where
from harness.worker.virtual.rebind import Replacement

__all__ = ["replacements"]


def replacements(points: Sequence[Point], runtime: Runtime) -> list[Replacement]:
    """Return the replacements that put *points* around their targets."""
    found = []
    for point in points:
        owner, name, target = resolve(point)
        make = _async if inspect.iscoroutinefunction(target) else _sync
        # A static or class method must stay one.
        kind = inspect.getattr_static(owner, name)
        call = make(point, getattr(kind, "__func__", target), runtime)
        wrapped = type(kind)(call) if isinstance(kind, (staticmethod, classmethod)) else call
        found.append(Replacement(target, wrapped, owner, name))
    return found


def _text(point: Point, args: tuple[Any, ...]) -> tuple[str, str]:
    path = point.target.partition(":")[2]
    return path, shown(args[1:] if "." in path else args)


def _touch(point: Point, runtime: Runtime) -> None:
    runtime.touched(f"data:{point.shares}", "r" if point.reads else "w")


def _sync(point: Point, target: Callable[..., Any], runtime: Runtime) -> Callable[..., Any]:
    @wraps(target)
    def call(*args: Any, **options: Any) -> Any:
        if not (runtime.controlled or runtime.aborting):
            runtime.unseen()
            return target(*args, **options)
        runtime.park("point", *_text(point, args), where(2))
        _touch(point, runtime)
        token = POINT.set(point.target)
        try:
            return target(*args, **options)
        finally:
            POINT.reset(token)

    return call


def _async(point: Point, target: Callable[..., Any], runtime: Runtime) -> Callable[..., Any]:
    @wraps(target)
    async def call(*args: Any, **options: Any) -> Any:
        if runtime.controlled or runtime.aborting:
            # The event loop stands still meanwhile: until the call really waits no other task of it can run.
            runtime.park("point", *_text(point, args), where(2))
            _touch(point, runtime)
        else:
            runtime.unseen()
        token = POINT.set(point.target)
        try:
            return await target(*args, **options)
        finally:
            POINT.reset(token)

    return call
