"""Finds the line of the code under test that is running, below the library frames in between."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from types import CodeType, FrameType
from typing import Any

__all__ = ["Place", "is_outermost", "is_under_test", "place_of_coroutine", "where"]

Place = tuple[str, int, str, str]
"""The file, line and function of the code under test, and the ``file:line`` in another of its files that called it."""

_LIBRARIES = (
    "harness", "aiosqlite", "sqlite3", "asyncio", "contextlib", "hypothesis", "multiprocess", "dill", "psycopg", "psycopg_pool",
    "asyncpg",
)  # fmt: skip
_ROOTS = tuple(
    {sysconfig.get_paths()[name] + "/" for name in ("stdlib", "platstdlib")}
    | {__file__.rpartition("/worker/")[0] + "/"}
)
_HARNESS = __file__.rpartition("/worker/")[0] + "/"
_OUTERMOST = (_HARNESS + "worker/session.py", _HARNESS + "control/testbed/forkserver.py")
"""The files of a worker's outermost frames: beyond these lie only the frames of the process that forked it."""

_CODE_UNDER_TEST, _LIBRARY, _END = range(3)

_modules: dict[str, tuple[dict[str, Any], int]] = {}
"""By module name: the globals of each module met so far that is not under test, and its class (``_LIBRARY`` or ``_END``).

Reading the code of a frame raises an audit event (``object.__getattr__``), for which every audit hook is called; reading its
globals does not.
"""


def where(depth: int = 1) -> Place | None:
    """Return the innermost line of the running code that is neither ours nor a library's, or None; skip *depth* frames."""
    frame: FrameType | None = sys._getframe(depth)
    file, line, function = "", 0, ""
    while frame is not None:
        space = frame.f_globals
        known = _modules.get(space.get("__name__", ""))
        if known is not None and known[0] is space:
            if known[1] == _END:
                break
            frame = frame.f_back
            continue
        code = frame.f_code
        whose = _whose(code.co_filename)
        if whose != _CODE_UNDER_TEST and space.get("__file__") == code.co_filename:
            _modules[space["__name__"]] = space, whose
        if whose == _END:
            break
        if whose == _CODE_UNDER_TEST:
            if not file:
                file, line, function = code.co_filename, frame.f_lineno, code.co_qualname
            elif code.co_filename != file:
                return file, line, function, f"{code.co_filename.rpartition('/')[2]}:{frame.f_lineno}"
        frame = frame.f_back
    return (file, line, function, "") if file else None


def is_outermost(code: CodeType) -> bool:
    """Return whether only the frames of the process that forked us lie beyond *code*."""
    return _whose(code.co_filename) == _END


def is_under_test(code: CodeType) -> bool:
    """Return whether *code* is neither ours nor a library's."""
    return _whose(code.co_filename) == _CODE_UNDER_TEST


def place_of_coroutine(coroutine: Any) -> Place | None:
    """Return the innermost line of the code under test at which *coroutine* waits, or None."""
    found: Place | None = None
    caller = ""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is not None and _whose(frame.f_code.co_filename) == _CODE_UNDER_TEST:
            code = frame.f_code
            if found is not None and found[0] != code.co_filename:
                caller = f"{found[0].rpartition('/')[2]}:{found[1]}"
            found = code.co_filename, frame.f_lineno, code.co_qualname, caller
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return found


@cache
def _whose(file: str) -> int:
    if file in _OUTERMOST:
        return _END
    # site-packages lies inside the standard library's folder, but a package there may well be the code under test.
    before, inside, package = file.rpartition("/site-packages/")
    if inside and before:
        return _LIBRARY if package.partition("/")[0].removesuffix(".py") in _LIBRARIES else _CODE_UNDER_TEST
    return _LIBRARY if file.startswith(("<", *_ROOTS, *_folders())) else _CODE_UNDER_TEST


def _folders() -> Iterator[str]:
    """Yield the folders of the libraries that are loaded, wherever they were installed."""
    for name in _LIBRARIES:
        for folder in getattr(sys.modules.get(name), "__path__", ()):
            yield f"{folder}/"
