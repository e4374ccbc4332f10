"""Finds scenarios: the installed ones through entry points, anybody's own by module or file.

The harness imports no scenario by name. A distribution that brings some says so in its ``pyproject.toml``::

    [project.entry-points."harness.scenarios"]
    mine = "my_package.races:ALL"
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from harness.errors import BadInput
from harness.scenario import Scenario

__all__ = ["GROUP", "find", "nearest", "scenarios"]

GROUP = "harness.scenarios"


def scenarios() -> Mapping[str, Scenario]:
    """Return every installed scenario by name; raises ``BadInput`` naming the entry point that is broken."""
    found: dict[str, Scenario] = {}
    origin: dict[str, str] = {}
    # A distribution that is on the path twice is listed twice.
    for point in sorted(set(entry_points(group=GROUP)), key=lambda point: (point.name, point.value)):
        name = f"{point.name} = {point.value}"
        for scenario in _loaded(point, name):
            if scenario.name in found:
                raise BadInput(
                    f"Two scenarios are called {scenario.name!r}: of the entry points "
                    f"{origin[scenario.name]!r} and {name!r}. Rename one, or uninstall its distribution."
                )
            found[scenario.name], origin[scenario.name] = scenario, name
    return found


def find(name: str, variant: str | None = None) -> Scenario:
    """Return the scenario called *name*, or its *variant*.

    *name* may also be ``module:ATTRIBUTE`` or ``path/to/file.py:ATTRIBUTE``. Raises ``BadInput``.
    """
    scenario = _referred(name) if ":" in name else _installed(name)
    return _variant(scenario, variant) if variant else scenario


def nearest(word: str, known: Iterable[str]) -> str:
    """Return words that help whoever wrote *word* instead of one of the *known*."""
    known = list(known)
    guess = get_close_matches(word, known, n=1)
    mean = f"Did you mean {guess[0]!r}? " if guess else ""
    return f"{mean}There is: {', '.join(known)}." if known else "There is none."


def _installed(name: str) -> Scenario:
    known = scenarios()
    if name not in known:
        raise BadInput(
            f"There is no scenario {name!r}. {nearest(name, known)}\n"
            "`harness list` shows them. For your own, give module:ATTRIBUTE or path/to/file.py:ATTRIBUTE."
        )
    return known[name]


def _variant(scenario: Scenario, name: str) -> Scenario:
    if name not in scenario.variants:
        raise BadInput(
            f"The scenario {scenario.name!r} has no variant {name!r}. {nearest(name, scenario.variants)}\n"
            "`harness list` shows them all."
        )
    variant = scenario.variants[name]
    return variant if variant.variant == name else replace(variant, variant=name)


# --- loading --------------------------------------------------------------------------------------


def _loaded(point: EntryPoint, name: str) -> list[Scenario]:
    try:
        value = point.load()
    except (Exception, SystemExit) as error:
        _cannot_import(f"The entry point {name!r} in the group {GROUP!r}", error)
    found = list(value) if isinstance(value, Iterable) else []
    if not found or not all(isinstance(scenario, Scenario) for scenario in found):
        raise BadInput(
            f"The entry point {name!r} in the group {GROUP!r} gives a {type(value).__name__}, which is "
            "not an iterable of scenarios. Point it at a tuple of `Scenario` objects, then install again."
        )
    return found


def _referred(name: str) -> Scenario:
    place, _, attribute = name.rpartition(":")
    module = _from_file(place) if place.endswith(".py") or "/" in place else _from_path(place)
    value: object = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            known = [key for key, held in vars(module).items() if isinstance(held, Scenario)]
            raise BadInput(f"{place!r} has no {attribute!r}. {nearest(attribute, known)}")
        value = getattr(value, part)
    if not isinstance(value, Scenario):
        raise BadInput(
            f"{name!r} is a {type(value).__name__}, not a Scenario. Give the name of one scenario, as in "
            "races.py:COUNTER where the file says COUNTER = Scenario(...)."
        )
    return value


def _from_path(name: str) -> ModuleType:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        _cannot_import(f"The module {name!r}", error)


def _from_file(name: str) -> ModuleType:
    """Run the file *name* as a module in ``sys.modules``, with its folder on the path as for a script."""
    path = Path(name).resolve()
    if not path.is_file():
        raise BadInput(f"There is no file {name!r}, looked for as {str(path)!r}. Is the path right?")
    module_name = path.stem if path.stem not in sys.modules else f"harness_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise BadInput(f"The file {name!r} is not a Python file. Give path/to/file.py:ATTRIBUTE.")
    sys.path.insert(0, str(path.parent))
    module = sys.modules[module_name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        _cannot_import(f"The file {name!r}", error)
    return module


def _cannot_import(what: str, error: BaseException) -> NoReturn:
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    where = f" ({Path(last.filename).name}:{last.lineno})" if last and "importlib" not in last.filename else ""
    raise BadInput(
        f"{what} can't be imported: {type(error).__name__}: {error}{where}.\n"
        "Is the code sound, and all that it needs installed in this environment?"
    ) from error
