"""Schedule points where code looks at an event, a barrier, a queue or a thread without taking its lock.

``Event.is_set`` and the like read an attribute. Between two such looks of one thread another may have changed it, so each is a
point while the worker has several threads. Only calls from the code under test are: the standard library looks too.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from harness.worker.runtime import Runtime
from harness.worker.source import is_under_test, where

__all__ = ["install"]

_LOOKS: tuple[tuple[Any, str], ...] = (
    (threading.Event, "is_set"),
    (threading.Barrier, "n_waiting"),
    (threading.Barrier, "broken"),
    (threading.Thread, "is_alive"),
    (queue._PySimpleQueue, "empty"),  # type: ignore[attr-defined]
    (queue._PySimpleQueue, "qsize"),  # type: ignore[attr-defined]
)


def install(runtime: Runtime) -> None:
    """Make these looks schedule points of *runtime*, for good."""
    for owner, name in _LOOKS:
        found = vars(owner)[name]
        if isinstance(found, property):
            assert found.fget is not None
            setattr(owner, name, property(_at_a_point(found.fget, runtime)))
        else:
            setattr(owner, name, _at_a_point(found, runtime))


def _at_a_point(function: Callable[[Any], Any], runtime: Runtime) -> Callable[[Any], Any]:
    """Return *function*, before which another thread may go on."""
    text = function.__qualname__.removeprefix("_Py")

    @wraps(function)
    def look(self: Any) -> Any:
        if runtime.threads and is_under_test(sys._getframe(1).f_code):
            runtime.take_turn("lock", text, "", where(2))
        return function(self)

    return look
