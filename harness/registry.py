"""Finds scenarios: by the project's settings, by entry points of installed distributions, by module or by file.

The harness imports no scenario by name of its own. A project names its scenarios in ``pyproject.toml``::

    [tool.harness]
    scenarios = ["races.py:COUNTER", "my_package.races:ALL"]

A distribution that brings scenarios to others has an entry point instead::

    [project.entry-points."harness.scenarios"]
    mine = "my_package.races:ALL"
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, NoReturn

from harness.errors import BadInput
from harness.project.settings import Settings, load
from harness.project.suggestions import nearest
from harness.scenario import Scenario

__all__ = ["GROUP", "Named", "find", "named", "referred", "scenarios"]

GROUP = "harness.scenarios"


class Named(NamedTuple):
    """A scenario that is known by its name, with the reference that ``find`` takes for it elsewhere, and its origin."""

    reference: str
    scenario: Scenario
    origin: str
    installed: bool = False
    """Whether a distribution brings it by an entry point."""


def scenarios(settings: Settings | None = None) -> Mapping[str, Scenario]:
    """Return every scenario that is known by name, as ``named``."""
    return {name: each.scenario for name, each in named(settings).items()}


def named(settings: Settings | None = None) -> dict[str, Named]:
    """Return the scenarios of *settings* (by default the project's), then the installed ones, by name.

    Raises ``BadInput`` if an entry point or a reference can't be loaded, or if two scenarios have one name.
    """
    found: dict[str, Named] = {}
    for each in (*_of_settings(settings or load()), *_installed()):
        other = found.setdefault(each.scenario.name, each)
        if other.scenario is not each.scenario:
            raise BadInput(
                f"Two scenarios are called {each.scenario.name!r}: of {other.origin} and of {each.origin}. "
                "Rename one, or remove one of these."
            )
    return found


def find(name: str, variant: str | None = None) -> Scenario:
    """Return the scenario called *name*, or its *variant*.

    *name* may also be ``module:ATTRIBUTE`` or ``path/to/file.py:ATTRIBUTE``; of an attribute that holds several
    scenarios, ``module:ATTRIBUTE.NAME`` is one. Raises ``BadInput``.
    """
    scenario = _one(name) if ":" in name else _by_name(name)
    return _variant(scenario, variant) if variant else scenario


def referred(reference: str, root: Path | None = None) -> list[Named]:
    """Return the scenarios that *reference* names: one, or each of those that its attribute holds.

    A file's path is relative to *root*, by default the current folder, and modules are looked for there too. Raises
    ``BadInput``.
    """
    place = _rooted(reference, root) if root is not None else reference
    value = _value(place, root or Path.cwd())
    if isinstance(value, Scenario):
        return [Named(place, value, repr(reference))]
    return [Named(f"{place}.{each.name}", each, repr(reference)) for each in value]


def _by_name(name: str) -> Scenario:
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


def _of_settings(settings: Settings) -> Iterator[Named]:
    for reference in settings.scenarios:
        if ":" in reference:
            origin = f"{reference!r} in {settings.file}" if settings.file else repr(reference)
            yield from (each._replace(origin=origin) for each in referred(reference, settings.root))


def _installed() -> Iterator[Named]:
    # A distribution that is on the path twice is listed twice.
    for point in sorted(set(entry_points(group=GROUP)), key=lambda point: (point.name, point.value)):
        name = f"{point.name} = {point.value}"
        for scenario in _loaded(point, name):
            yield Named(scenario.name, scenario, f"the entry point {name!r}", installed=True)


def _loaded(point: EntryPoint, name: str) -> list[Scenario]:
    try:
        value = point.load()
    except (Exception, SystemExit) as error:
        _cannot_import(f"The entry point {name!r} in the group {GROUP!r}", error)
    found = _several(value)
    if not found:
        raise BadInput(
            f"The entry point {name!r} in the group {GROUP!r} gives a {type(value).__name__}, which is "
            "not an iterable of scenarios. Point it at a tuple of `Scenario` objects, then install again."
        )
    return found


def _several(value: object) -> list[Scenario]:
    """Return the scenarios in *value*, if it is an iterable of nothing else; otherwise nothing."""
    found = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else []
    return found if all(isinstance(each, Scenario) for each in found) else []


def _one(reference: str) -> Scenario:
    value = _value(reference, Path.cwd())
    if isinstance(value, Scenario):
        return value
    raise BadInput(
        f"{reference!r} holds {len(value)} scenarios. Name one: "
        f"{', '.join(f'{reference}.{each.name}' for each in value)}."
    )


def _value(reference: str, root: Path) -> Scenario | list[Scenario]:
    place, _, attribute = reference.rpartition(":")
    module = _from_file(place) if _is_file(place) else _from_path(place, root)
    value: object = module
    parts = attribute.split(".")
    for number, part in enumerate(parts):
        if (several := _several(value)) and number:
            return _of_several(reference, several, ".".join(parts[number:]))
        if not hasattr(value, part):
            known = [key for key, held in vars(module).items() if isinstance(held, Scenario) or _several(held)]
            raise BadInput(f"{place!r} has no {attribute!r}. {nearest(attribute, known)}")
        value = getattr(value, part)
    found = value if isinstance(value, Scenario) else _several(value)
    if not found:
        raise BadInput(
            f"{reference!r} is a {type(value).__name__}, not a Scenario. Give the name of one scenario, as in "
            "races.py:COUNTER where the file says COUNTER = Scenario(...), or of a tuple of them."
        )
    return found


def _of_several(reference: str, several: list[Scenario], name: str) -> Scenario:
    known = {each.name: each for each in several}
    if name not in known:
        raise BadInput(f"{reference!r} names no scenario: {name!r} is not there. {nearest(name, known)}")
    return known[name]


def _is_file(place: str) -> bool:
    return place.endswith(".py") or "/" in place


def _rooted(reference: str, root: Path) -> str:
    """Return *reference* with its file's path, if it has one, changed from relative to *root* to relative to here."""
    place, _, attribute = reference.rpartition(":")
    if not _is_file(place):
        return reference
    path = os.path.relpath(root / place)
    return f"{root / place if path.startswith('..') else path}:{attribute}"


def _from_path(name: str, root: Path) -> ModuleType:
    for folder in dict.fromkeys((root.resolve(), Path.cwd())):
        if str(folder) not in sys.path and not ("" in sys.path and folder == Path.cwd()):
            sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        _cannot_import(f"The module {name!r}", error)


def _from_file(name: str) -> ModuleType:
    """Run the file *name* as a module in ``sys.modules``, with its folder on the path as for a script."""
    path = Path(name).resolve()
    if (known := _FILES.get(path)) is not None:
        return known
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
    _FILES[path] = module
    return module


_FILES: dict[Path, ModuleType] = {}
"""The files that were run, so that one that several references name is run once and its scenarios are the same objects."""


def _cannot_import(subject: str, error: BaseException) -> NoReturn:
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    where = f" ({Path(last.filename).name}:{last.lineno})" if last and "importlib" not in last.filename else ""
    raise BadInput(
        f"{subject} can't be imported: {type(error).__name__}: {error}{where}.\n{_likely_cause(error)}"
    ) from error


def _likely_cause(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("harness."):
        return (
            "Does the project have a package of its own called 'harness'? It can't be imported beside this tool, whose "
            "package has that name. Move what is to be raced to a package of another name."
        )
    return "Is the code sound, and all that it needs installed in this environment?"
