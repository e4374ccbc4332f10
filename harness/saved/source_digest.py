"""Which files a scenario's functions come from, and a digest that tells two states of them apart."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

from harness.scenario import Check, Scenario

__all__ = ["digest", "files_of"]


def files_of(scenario: Scenario) -> Iterator[Path]:
    """Yield the files of every function in *scenario* and its variants."""
    for each in (scenario, *scenario.variants.values()):
        for field in dataclasses.fields(each):
            if field.name != "variants":
                yield from _files_in(getattr(each, field.name))


def _files_in(value: Any) -> Iterator[Path]:
    if isinstance(value, partial):
        yield from _files_in((value.func, *value.args, *value.keywords.values()))
    elif isinstance(value, Check):
        yield from _files_in(value.holds)
    elif isinstance(value, dict):
        yield from _files_in(tuple(value.values()))
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _files_in(each)
    elif isinstance(code := getattr(getattr(value, "__wrapped__", value), "__code__", None), CodeType):
        yield Path(code.co_filename)
        yield from (Path(cell) for cell in _closed_over(value))
    elif callable(value):
        module = sys.modules.get(getattr(value, "__module__", None) or "")
        if file := getattr(module, "__file__", None):
            yield Path(file)


def _closed_over(function: Any) -> Iterator[str]:
    for cell in getattr(function, "__closure__", None) or ():
        try:
            value = cell.cell_contents
        except ValueError:
            continue
        if not isinstance(value, Scenario):
            yield from map(str, _files_in(value))


def digest(scenario: Scenario) -> str:
    """Return a digest of the names and contents of these files, but not of where they lie."""
    files = {(path.name, path.read_bytes()) for path in files_of(scenario) if path.is_file()}
    sum_ = hashlib.sha256()
    for name, content in sorted(files):
        sum_.update(f"{name} {len(content)} ".encode() + content)
    return sum_.hexdigest()
