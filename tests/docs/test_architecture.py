"""The table of packages in ``ARCHITECTURE.md`` is true: a row for each package, with all that it imports."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from tests.project.sources import read_sources

ROOT = Path(__file__).parents[2]
COLLAPSED = ("cli", "reports", "schedulers", "worker/instrument")
"""Packages that the table has one row for, with their subfolders."""
FREE = frozenset({"", "values", "boundary"})
"""What every package may import: the files in ``harness/`` itself, values, and what both sides of the wall share."""


def _package(folder: str) -> str:
    inside = folder.removeprefix("harness").strip("/")
    for each in COLLAPSED:
        if inside == each or inside.startswith(each + "/"):
            return each
    return inside


def imported() -> dict[str, set[str]]:
    """Return the packages that the files of each package import, those in functions included."""
    found: dict[str, set[str]] = defaultdict(set)
    for source in read_sources("harness"):
        package = _package(str(Path(source.path).parent))
        found[package] |= set()
        for _, name in source.imports():
            if name == "harness" or name.startswith("harness."):
                folder = Path(name.replace(".", "/"))
                while not (ROOT / folder).is_dir():
                    folder = folder.parent
                found[package].add(_package(str(folder)))
    return {package: others - FREE - {package} for package, others in found.items()}


def stated() -> dict[str, set[str]]:
    """Return the packages that the table lets each package import."""
    found = {}
    for line in (ROOT / "ARCHITECTURE.md").read_text().partition("## Packages")[2].partition("## ")[0].splitlines():
        cells = [each.strip() for each in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0].startswith(("`", "(itself)")):
            others = {each.strip("/") for each in re.findall(r"`([\w/]+)`", cells[2])}
            for package in re.findall(r"`([\w/]+?)/?`", cells[0]) or [""]:
                found[package] = others - FREE
    return found


def test_the_table_of_packages_is_true() -> None:
    """A package that is not in the table, or imports what its row does not name, is not in the architecture."""
    assert {name: sorted(others) for name, others in sorted(stated().items())} == {
        name: sorted(others) for name, others in sorted(imported().items())
    }
