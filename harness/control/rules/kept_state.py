"""The state that rules keep between evaluations: in closures, globals, and the objects that they are methods of."""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from types import CodeType, FunctionType, MethodType
from typing import Any

from harness.scenario import Check

__all__ = ["own_state"]

_CONTAINERS = (list, dict, set, deque, bytearray, OrderedDict, itertools.count)
_LONG = 10_000


def own_state(checks: Sequence[Check]) -> str:
    """Return a text that changes when a value changes that a rule of *checks* can keep for itself.

    Of a container with more than 10,000 items, only the number of items counts.
    """
    return "\n".join(_shown(value) for check in checks for value in _kept(check.holds, set()))


def _kept(holds: Any, known: set[int]) -> Iterator[Any]:
    """Yield the values that *holds*, or a function in its closure or defaults, can rebind or modify."""
    if id(holds) in known:
        return
    known.add(id(holds))
    if isinstance(holds, MethodType):
        yield from _of_object(holds.__self__)
        yield from _kept(holds.__func__, known)
    elif isinstance(holds, FunctionType):
        for value in (*_cells(holds), *(holds.__defaults__ or ())):
            if isinstance(value, (FunctionType, MethodType)):
                yield from _kept(value, known)
            else:
                yield from _of_object(value)
        for name in _names(holds.__code__):
            if name in holds.__globals__:
                yield from _of_object(holds.__globals__[name])
    else:
        yield from _of_object(holds)


def _cells(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not set yet
            continue


def _names(code: CodeType) -> set[str]:
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return found


def _of_object(value: Any) -> Iterator[Any]:
    if isinstance(value, (*_CONTAINERS, int, float, str)):
        yield value
    elif type(getattr(value, "__dict__", None)) is dict and not isinstance(value, FunctionType):
        yield vars(value)


def _shown(value: Any) -> str:
    if isinstance(value, (list, dict, set, deque)) and len(value) > _LONG:
        return str(len(value))
    try:
        return repr(value)
    except Exception as error:
        return type(error).__name__
