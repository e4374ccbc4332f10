"""Seeded randomness: a stream per lane, derived from the execution's seed.

Because every lane has a stream of its own, the values that a task draws do not depend on how tasks interleave.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import random
import sys
import tempfile
import uuid
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeAlias

from harness.worker.virtual.rebind import Replacement

__all__ = ["Randomness", "replacements"]

_MODULE_FUNCTIONS = (
    "random", "uniform", "triangular", "randint", "choice", "randrange", "sample", "shuffle", "choices", "normalvariate",
    "lognormvariate", "expovariate", "vonmisesvariate", "gammavariate", "gauss", "betavariate", "paretovariate",
    "weibullvariate", "getrandbits", "randbytes", "binomialvariate", "seed", "getstate", "setstate",
)  # fmt: skip


_IMPORTING = "import"
_BOOTSTRAP = vars(importlib._bootstrap)
_FIND_AND_LOAD = importlib._bootstrap._find_and_load.__code__  # type: ignore[attr-defined]

_NODE = 0x0242AC110002
"""The network address that ``uuid.uuid1`` sees."""


class Randomness:
    """The streams of one execution: for each lane a stream of bytes and, if it is used, a generator of numbers."""

    def __init__(self, lane: Callable[[], str]) -> None:
        self._lane = lane
        self._seed = "0"
        self._numbers: dict[str, random.Random] = {}
        self._drawn: dict[str, int] = {}

    def begin(self, seed: str) -> None:
        """Start all streams anew from *seed*."""
        self._seed = seed
        self._numbers.clear()
        self._drawn.clear()
        # ``tempfile`` keeps the generator of names that it made when it first needed one.
        tempfile._name_sequence = None  # type: ignore[attr-defined]
        # ``uuid`` gives no time twice, but time begins anew with each execution.
        uuid._last_timestamp = None  # type: ignore[attr-defined]

    def bytes(self, size: int) -> bytes:
        """Return the next *size* bytes of the running lane's stream, or, during an import, of the stream for imports."""
        lane = _IMPORTING if _importing() else self._lane()
        number = self._drawn[lane] = self._drawn.get(lane, 0) + 1
        return hashlib.shake_128(f"{self._seed}/{lane}/{number}".encode()).digest(size)

    def numbers(self) -> random.Random:
        """Return the running lane's generator of numbers."""
        lane = self._lane()
        stream = self._numbers.get(lane)
        if stream is None:
            stream = self._numbers[lane] = _Original(f"{self._seed}/{lane}")
        return stream


def _importing() -> bool:
    """Return whether a module is being imported: a module draws once in a process, not again in later executions."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        # The globals are compared first: reading a frame's code raises an audit event.
        if frame.f_globals is _BOOTSTRAP and frame.f_code is _FIND_AND_LOAD:
            return True
        frame = frame.f_back
    return False


_Original: TypeAlias = random.Random


class _PerLane(random.Random):
    """A ``random.Random`` that takes its bits from the running lane's generator."""

    _randomness: Randomness | None = None

    def random(self) -> float:
        return self._of_lane().random()

    def getrandbits(self, k: int, /) -> int:
        return self._of_lane().getrandbits(k)

    def seed(self, a: Any = None, version: int = 2) -> None:
        """Seed the running lane's generator with *a*; None, which stands for the machine's randomness, leaves it unchanged."""
        if a is not None and self._randomness is not None:
            self._of_lane().seed(a, version)

    def _of_lane(self) -> _Original:
        assert self._randomness is not None
        return self._randomness.numbers()


def replacements(randomness: Randomness) -> list[Replacement]:
    """Return the replacements that put *randomness* behind ``random``, ``secrets``, ``os.urandom`` and ``uuid``."""
    shared = _PerLane()
    shared._randomness = randomness

    class Random(_Original):
        """A ``random.Random`` that seeds itself from the running lane's stream instead of the machine's randomness."""

        def seed(self, a: Any = None, version: int = 2) -> None:
            super().seed(randomness.bytes(32) if a is None else a, version)

        def __init__(self, x: Any = None) -> None:
            super().__init__(randomness.bytes(32) if x is None else x)

    def urandom(size: int, /) -> bytes:
        return randomness.bytes(size)

    found = [
        Replacement(getattr(random, name), getattr(shared, name), random, name)
        for name in _MODULE_FUNCTIONS
        if hasattr(random, name)
    ]
    found.append(Replacement(_Original, Random, random, "Random"))
    found.append(Replacement(os.urandom, urandom, os, "urandom"))
    found.append(Replacement(random._urandom, urandom, random, "_urandom"))  # type: ignore[attr-defined]
    found.append(Replacement(uuid._generate_time_safe, None, uuid, "_generate_time_safe"))  # type: ignore[attr-defined]
    found.append(Replacement(uuid._node, _NODE, uuid, "_node"))  # type: ignore[attr-defined]
    return found
