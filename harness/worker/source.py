"""Finds the line of the code under test that is running, below the library frames in between."""

from __future__ import annotations

import sys
import sysconfig
from types import CodeType, FrameType
from typing import Any

__all__ = ["Place", "place_of_coroutine", "where"]

Place = tuple[str, int, str]
"""File, line and function of the code under test, as plain data."""

_LIBRARIES = (
    "harness",
    "aiosqlite",
    "sqlite3",
    "asyncio",
    "contextlib",
    "hypothesis",
    "multiprocess",
    "dill",
)
_ROOTS = tuple(
    {sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib")} | {__file__.rpartition("/worker/")[0]}
)
_known: dict[CodeType, bool] = {}


def where(depth: int = 1) -> Place | None:
    """Return the innermost line of the running code that is neither ours nor a library's, or None."""
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None:
        code = frame.f_code
        ours = _known.get(code)
        if ours is None:
            ours = _known[code] = _is_library(code)
        if not ours:
            return code.co_filename, frame.f_lineno, code.co_qualname
        frame = frame.f_back
    return None


def place_of_coroutine(coroutine: Any) -> Place | None:
    """Return the innermost line of the code under test at which *coroutine* waits, or None."""
    found: Place | None = None
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is not None and not _is_library(frame.f_code):
            found = frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return found


def _is_library(code: CodeType) -> bool:
    file = code.co_filename
    if (
        file.startswith("<")
        or file.startswith(_ROOTS[0] + "/python")
        or any(file.startswith(root + "/") for root in _ROOTS)
    ):
        # site-packages lies inside the standard library's folder; what is there may well be the code under test.
        inside = file.rpartition("/site-packages/")[2]
        return inside == file or inside.partition("/")[0].removesuffix(".py") in _LIBRARIES
    inside = file.rpartition("/site-packages/")[2]
    return inside != file and inside.partition("/")[0].removesuffix(".py") in _LIBRARIES
