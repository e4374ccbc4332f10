"""`ARCHITECTURE.md`, the page of modules, the decisions and the code agree."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.project.module_map import MAPPED, PAGE, first_line, module_map
from tests.project.sources import ROOT, read_sources

LINES = 200
COLLAPSED = ("cli", "reports", "schedulers", "worker/instrument")
"""Packages that the table has one row for, with their subfolders."""
FREE = frozenset({"", "values", "boundary"})
"""What every package may import: the files in ``harness/`` itself, values, and what both sides of the wall share."""
_FOLDER = re.compile(r"^\| `([\w/]+)/` \|", re.MULTILINE)
_PATH = re.compile(r"`((?:harness|scenarios|reports|reference_impl|tests|docs|benchmarks)/[\w./-]*)`")


def _architecture() -> str:
    return (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def _documents() -> list[Path]:
    return [
        ROOT / "ARCHITECTURE.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs" / "decisions").glob("*.md")),
    ]


def _modules() -> list[Path]:
    return [path for folder in MAPPED for path in sorted((ROOT / folder).rglob("*.py"))]


def test_it_is_read_in_one_sitting() -> None:
    """The architecture has at most 200 lines."""
    assert _architecture().count("\n") <= LINES


def test_every_package_is_in_it() -> None:
    """Each folder of the engine that holds modules has a row in the table of packages, and each row a folder."""
    rows = set(_FOLDER.findall(_architecture()))
    assert {row for row in rows if not (ROOT / row).is_dir()} == set()
    packages = {path.parent.relative_to(ROOT).as_posix() for path in _modules() if path.name != "__init__.py"}
    below = {package for package in packages if any(package.startswith(f"{row}/") for row in rows)}
    assert packages - below - rows == set()


def _package(folder: str) -> str:
    inside = folder.removeprefix("harness").strip("/")
    for each in COLLAPSED:
        if inside == each or inside.startswith(each + "/"):
            return each
    return inside


def _imported() -> dict[str, set[str]]:
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


def _stated() -> dict[str, set[str]]:
    """Return the packages that the table lets each package import."""
    found = {}
    for line in _architecture().partition("## Packages")[2].partition("## ")[0].splitlines():
        cells = [each.strip() for each in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0].startswith("`harness/"):
            found[_package(cells[0].strip("`"))] = set(re.findall(r"`([\w/]+)`", cells[2]))
    return found


def test_the_table_of_packages_is_true() -> None:
    """A package that is not in the table, or imports what its row does not name, is not in the architecture."""
    assert {name: sorted(others) for name, others in sorted(_stated().items())} == {
        name: sorted(others) for name, others in sorted(_imported().items())
    }


def test_every_module_says_what_it_is() -> None:
    """The first line of each docstring is a sentence, on the page of modules."""
    assert [path.name for path in _modules() if path.name != "__init__.py" and not first_line(path)] == []


def test_the_page_of_modules_is_current() -> None:
    """It says what the docstrings say."""
    assert PAGE.read_text(encoding="utf-8") == module_map(), "python -m tests.project.module_map writes it anew"


def test_the_page_has_a_row_for_each_module(tmp_path: Path) -> None:
    """Folders in turn, inner ones after the files; a module without a docstring is left out."""
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "a" / "one.py").write_text('"""One | thing.\n\nMore."""\n')
    (tmp_path / "a" / "none.py").write_text("x = 1\n")
    (inner / "two.py").write_text('"""Two."""\n')
    lines = module_map(tmp_path, ["a"]).splitlines()
    assert [line for line in lines if line.startswith(("| `", "## "))] == [
        "## a/",
        "| `one.py` | One \\| thing. |",
        "## a/b/",
        "| `two.py` | Two. |",
    ]


@pytest.mark.parametrize("document", _documents(), ids=lambda path: path.name)
def test_paths_named_in_documents_exist(document: Path) -> None:
    """A path that a document names is in the repository."""
    named = set(_PATH.findall(document.read_text(encoding="utf-8")))
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_decisions_are_numbered() -> None:
    """They are numbered from 1 without a gap, and each has the four parts."""
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [path.name[:5] for path in decisions] == [f"{number:04}-" for number in range(1, len(decisions) + 1)]
    parts = ("## Context", "## Decision", "## Consequences", "## Tried and measured")
    assert [path.name for path in decisions if any(p not in path.read_text(encoding="utf-8") for p in parts)] == []
