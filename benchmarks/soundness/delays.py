"""Random delays of a real run: before statements, and before calls of C functions inside them."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from random import Random
from types import FrameType
from typing import Any

from benchmarks.soundness.prelude import Told

__all__ = ["delay"]

_LONG = 0.002
_SHORT = 0.0003
_POINTS = 24
"""One of so many points is the one with the long delay."""


def delay(seed: int) -> None:
    """Choose how this process is delayed until it is called again: not at all, often and shortly, or once for long."""
    random = Random(seed)
    Told.pause = None
    sys.setprofile(None)
    threading.setprofile(None)
    _spin(random.random() * _SHORT if random.random() < 0.7 else 0.0)
    if (manner := random.random()) < 0.25:
        return
    pause = _often(random) if manner < 0.6 else _once(random)
    Told.pause = pause
    if random.random() < 0.5:
        threading.setprofile(_before_c(pause))
        sys.setprofile(_before_c(pause))


def _spin(seconds: float) -> None:
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        pass


def _often(random: Random) -> Callable[[], None]:
    part = random.choice((0.1, 0.3, 0.7))

    def pause() -> None:
        if random.random() < part:
            _spin(random.random() * _SHORT)

    return pause


def _once(random: Random) -> Callable[[], None]:
    left = random.randrange(_POINTS)

    def pause() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            time.sleep(_LONG * random.random())

    return pause


def _before_c(pause: Callable[[], None]) -> Callable[[FrameType, str, Any], None]:
    def profile(_: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and getattr(function, "__name__", "") != "sleep":
            pause()

    return profile
