"""Schedule points that a scenario declares around calls of a library the harness does not know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from harness.errors import BadInput

__all__ = ["Point", "resolve"]


@dataclass(frozen=True, slots=True)
class Point:
    """That every call of *target* shall be a schedule point, from outside the code under test.

    - ``target``: a function or method, as ``module:function`` or ``module:Class.method``; sync or async.
    - ``shares``: a name for what the calls share; calls of points that share the same are tried in both orders.
    - ``reads``: that a call only looks at it: two such calls need not be tried in both orders.

    The call itself is one step: nothing else runs between its beginning and its end (of an async one: its first
    ``await`` that waits for something else).
    """

    target: str
    shares: str
    reads: bool = False


def resolve(point: Point) -> tuple[Any, str, Callable[..., Any]]:
    """Return the object that holds the target of *point*, its attribute there, and the target; raises ``BadInput``."""
    module_name, colon, path = point.target.partition(":")
    if not (module_name and colon and path):
        raise BadInput(
            f"The schedule point {point.target!r} names no call: give 'module:function' or 'module:Class.method'."
        )
    try:
        owner: Any = import_module(module_name)
    except Exception as error:
        raise BadInput(
            f"The schedule point {point.target!r} can't be set: importing {module_name!r} failed "
            f"({type(error).__name__}: {error}). Is it spelt right, and installed here?"
        ) from None
    *holders, name = path.split(".")
    for part in holders:
        owner = getattr(owner, part, None)
    target = getattr(owner, name, None)
    if not callable(target):
        raise BadInput(
            f"The schedule point {point.target!r} can't be set: {module_name!r} has no function or method {path!r}."
        )
    return owner, name, target
