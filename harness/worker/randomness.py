"""Seeded randomness: a stream per lane, derived from the execution's seed.

Because every lane has a stream of its own, what a task draws does not depend on how tasks interleave.
"""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Callable

from harness.worker.rebind import Replacement

__all__ = ["Randomness", "replacements"]

_MODULE_FUNCTIONS = (
    "random", "uniform", "triangular", "randint", "choice", "randrange", "sample", "shuffle", "choices", "normalvariate",
    "lognormvariate", "expovariate", "vonmisesvariate", "gammavariate", "gauss", "betavariate", "paretovariate",
    "weibullvariate", "getrandbits", "randbytes", "binomialvariate", "seed", "getstate", "setstate",
)  # fmt: skip


_NODE = 0x0242AC110002
"""The network address that ``uuid.uuid1`` sees."""


class Randomness:
    """The streams of one execution."""

    def __init__(self, lane: Callable[[], str]) -> None:
        self._lane = lane
        self._seed = "0"
        self._streams: dict[str, random.Random] = {}

    def begin(self, seed: str) -> None:
        """Start all streams anew from *seed*."""
        self._seed = seed
        self._streams.clear()

    def stream(self) -> random.Random:
        """Return the stream of the running lane."""
        lane = self._lane()
        stream = self._streams.get(lane)
        if stream is None:
            stream = self._streams[lane] = _Original(f"{self._seed}/{lane}")
        return stream


_Original = random.Random


class _PerLane(random.Random):
    """A ``random.Random`` whose bits come from the running lane's stream."""

    def __new__(cls, _: Randomness) -> _PerLane:
        return super().__new__(cls)

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness
        super().__init__(0)

    def random(self) -> float:
        return self._randomness.stream().random()

    def getrandbits(self, k: int, /) -> int:
        return self._randomness.stream().getrandbits(k)

    def seed(self, a: object = None, version: int = 2) -> None:
        """Seed the running lane's stream; seeding from the machine's randomness (None) leaves the stream as it is."""
        if a is not None and self._randomness._streams:
            self._randomness.stream().seed(a, version)  # type: ignore[arg-type]


def replacements(randomness: Randomness) -> list[Replacement]:
    """Return what puts *randomness* behind ``random``, ``secrets``, ``os.urandom`` and ``uuid``."""
    shared = _PerLane(randomness)

    def urandom(size: int, /) -> bytes:
        return randomness.stream().randbytes(size)

    found = [
        Replacement(getattr(random, name), getattr(shared, name), random, name)
        for name in _MODULE_FUNCTIONS
        if hasattr(random, name)
    ]
    found.append(Replacement(os.urandom, urandom, os, "urandom"))
    found.append(Replacement(random._urandom, urandom, random, "_urandom"))  # type: ignore[attr-defined]
    found.append(Replacement(uuid._generate_time_safe, None, uuid, "_generate_time_safe"))  # type: ignore[attr-defined]
    found.append(Replacement(uuid._node, _NODE, uuid, "_node"))  # type: ignore[attr-defined]
    return found
