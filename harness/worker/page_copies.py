"""Searches modules for functions to replace, before the fork server is forked: a search after the fork copies memory pages."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

from harness.worker.instrument.threads.made_before import Holding

__all__ = ["Seen", "learn", "look"]

_originals: set[int] = set()
"""The ``id`` of each function that explorations of this process have replaced until now."""


class Seen(NamedTuple):
    """The result of a search: ids of functions to replace, and names of modules without such functions, or without locks.

    Modules that were not searched are not listed.
    """

    originals: frozenset[int]
    without_originals: frozenset[str]
    without_locks: frozenset[str]


def look() -> Seen:
    """Search every loaded module for functions and locks to replace, and return the result. Runs no code of the modules."""
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
    """Add *originals*, ids of functions, to those for which the next ``look`` of this process searches."""
    _originals.update(originals)
