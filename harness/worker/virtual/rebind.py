"""Replaces objects under every global name that loaded modules have for them (``from time import sleep`` included)."""

from __future__ import annotations

import sys
from collections.abc import Set
from types import ModuleType
from typing import Any, NamedTuple

__all__ = ["KEEP", "Replacement", "rebind"]

KEEP = (
    "harness",
    "threading",
    "_thread",
    "queue",
    "selectors",
    "subprocess",
    "multiprocess",
    "logging",
    "faulthandler",
    "posix",
    "_io",
    "importlib",
    "_frozen_importlib_external",
)
"""The modules that keep the original objects: ours, and modules that wait for real processes and threads."""


class Replacement(NamedTuple):
    """A replacement to make: ``home.name``, and every other global that is *original*, becomes *replacement*."""

    original: Any
    replacement: Any
    home: ModuleType | type
    name: str


def rebind(
    replacements: list[Replacement], looked_for: Set[int] = frozenset(), without: Set[str] = frozenset()
) -> list[int]:
    """Carry out *replacements* in one pass over the globals of all loaded modules.

    Objects that code has stored elsewhere (default arguments, attributes of instances) keep the original. Modules named in
    *without* were searched for the ids *looked_for* and hold none of them, so they are skipped, unless there are other ids
    to search for. Return those other ids.
    """
    by_id = {id(entry.original): entry.replacement for entry in replacements if callable(entry.original)}
    homes = {id(entry.home) for entry in replacements}
    unknown = by_id.keys() - looked_for
    if unknown:
        without = frozenset()
    for module_name, module in list(sys.modules.items()):
        if module_name in without or id(module) in homes or module_name.partition(".")[0] in KEEP:
            continue
        names = getattr(module, "__dict__", None)
        if not isinstance(names, dict):
            continue
        for key, value in list(names.items()):
            replacement = by_id.get(id(value))
            if replacement is not None:
                names[key] = replacement
    for entry in replacements:
        setattr(entry.home, entry.name, entry.replacement)
    return list(unknown)
