"""Lists the modules that a worker has imported since it was forked, and imports such modules before workers are forked."""

from __future__ import annotations

import importlib
import sys
import sysconfig
import warnings
from collections.abc import Iterable
from contextlib import suppress
from types import ModuleType

__all__ = ["import_all", "libraries_since"]

_ROOTS = tuple({sysconfig.get_paths()[name] + "/" for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def libraries_since(before: Iterable[str]) -> list[str]:
    """Return the names of the modules that were imported since *before*, in the order of import.

    *before* has the names of the modules known until then. Modules of the code under test are left out.
    """
    known = frozenset(before)
    return [name for name, module in list(sys.modules.items()) if name not in known and _is_library(name, module)]


def _is_library(name: str, module: object) -> bool:
    if not isinstance(module, ModuleType) or name.startswith(("__mp_main__", "__main__")):
        return False
    spec = getattr(module, "__spec__", None)
    if spec is None or spec.name != name:
        return False
    origin = spec.origin or ""
    return origin in ("built-in", "frozen") or origin.startswith(_ROOTS)


def import_all(names: Iterable[str]) -> None:
    """Import the modules *names*. A module that can't be imported now is skipped: the code that needs it imports it later."""
    for name in names:
        with suppress(Exception, SystemExit), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(name)
