"""Searches modules for functions to replace before the fork server is forked, because reading them later copies pages."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

from harness.worker.instrument.threads.made_before import Holding

__all__ = ["Seen", "learn", "look"]

_originals: set[int] = set()
"""By ``id``, what explorations of this process have replaced until now."""


class Seen(NamedTuple):
    """The functions found, and the modules that have none of them (modules that were not searched are not listed)."""

    originals: frozenset[int]
    without_originals: frozenset[str]
    without_locks: frozenset[str]


def look() -> Seen:
    """Search every loaded module for functions and locks to replace. Runs no code of the modules."""
    originals = frozenset(_originals)
    holding = Holding()
    without_originals, without_locks = set(), set()
    for name, module in list(sys.modules.items()):
        names = getattr(module, "__dict__", None)
        if type(names) is not dict:
            continue
        values: list[Any] = list(names.values())
        if originals.isdisjoint(map(id, values)):
            without_originals.add(name)
        if not holding.any_in(values, name):
            without_locks.add(name)
    return Seen(originals, frozenset(without_originals), frozenset(without_locks - holding.classes()))


def learn(originals: Iterable[int]) -> None:
    """Have the next ``look`` of this process look for *originals* too."""
    _originals.update(originals)
