"""The code map in `ARCHITECTURE.md` and the code: every file is in the map, everything in the map is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from tests.project.sources import ROOT

MAPPED = ("harness", "scenarios", "reports", "reference_impl")
LINES = 220

_FOLDER = re.compile(r"### `([\w/]+)/`")
_ENTRY = re.compile(r"- `([\w./*]+\.py)`: \S")
_PATH = re.compile(r"`((?:harness|scenarios|reports|reference_impl|tests|docs|benchmarks)/[\w./-]*)`")


def entries(text: str) -> list[str]:
    """Return the paths and patterns of the code map in *text*; a heading stands for its folder's `__init__.py`."""
    found: list[str] = []
    folder = ""
    for line in text.partition("## Code map")[2].partition("\n## ")[0].splitlines():
        if heading := _FOLDER.match(line):
            folder = heading[1]
            found.append(f"{folder}/__init__.py")
        elif entry := _ENTRY.match(line):
            found.append(f"{folder}/{entry[1]}")
    return found


def _matches(path: str, entry: str) -> bool:
    return path.count("/") == entry.count("/") and fnmatch(path, entry)


def missing(text: str, files: list[str]) -> Iterator[str]:
    """Yield each of *files* that the map does not have."""
    known = entries(text)
    yield from (path for path in files if not any(_matches(path, entry) for entry in known))


def stale(text: str, files: list[str]) -> Iterator[str]:
    """Yield each entry of the map that stands for none of *files*, or stands there twice."""
    known = entries(text)
    yield from (entry for entry in known if not any(_matches(path, entry) for path in files))
    yield from sorted({entry for entry in known if known.count(entry) > 1})


def too_wide(text: str) -> Iterator[str]:
    """Yield each pattern in the harness and the reports, where every file has a line of its own."""
    yield from (entry for entry in entries(text) if "*" in entry and entry.startswith(("harness/", "reports/")))


@cache
def _files() -> list[str]:
    folders = [ROOT / folder for folder in MAPPED]
    return sorted(path.relative_to(ROOT).as_posix() for folder in folders for path in folder.rglob("*.py"))


def _map() -> str:
    return (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def _documents() -> list[Path]:
    return [ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs" / "decisions").glob("*.md"))]


def test_every_file_is_in_the_map() -> None:
    """No Python file of a package is missing from the code map."""
    assert _files()
    assert list(missing(_map(), _files())) == []


def test_everything_in_the_map_is_there() -> None:
    """Every entry of the code map stands for a file, and each stands there once."""
    assert list(stale(_map(), _files())) == []


def test_every_file_of_the_engine_has_a_line_of_its_own() -> None:
    """Only folders that are one idea are given as a pattern."""
    assert list(too_wide(_map())) == []


def test_the_map_is_short() -> None:
    """It is read in one sitting."""
    assert len(_map().splitlines()) < LINES


@pytest.mark.parametrize("document", _documents(), ids=lambda path: path.name)
def test_paths_named_in_documents_exist(document: Path) -> None:
    """A path that the map or a decision names is in the repository."""
    named = set(_PATH.findall(document.read_text(encoding="utf-8")))
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_decisions_are_numbered() -> None:
    """They are numbered from 1 without a gap, and each has the four parts."""
    decisions = _documents()[1:]
    assert [path.name[:5] for path in decisions] == [f"{number:04}-" for number in range(1, len(decisions) + 1)]
    parts = ("## Context", "## Decision", "## Consequences", "## Tried and measured")
    assert [path.name for path in decisions if any(p not in path.read_text(encoding="utf-8") for p in parts)] == []


MADE_UP = """
## Code map

### `harness/`
- `a.py`: one thing.
### `scenarios/`
- `*.py`: stories.

## Next
- `b.py`: not in the map.
"""
THERE = ["harness/__init__.py", "harness/a.py", "scenarios/__init__.py", "scenarios/x.py"]


def test_a_sound_map_is_left_alone() -> None:
    """Where map and files agree there is nothing to say."""
    assert entries(MADE_UP) == ["harness/__init__.py", "harness/a.py", "scenarios/__init__.py", "scenarios/*.py"]
    assert [*missing(MADE_UP, THERE), *stale(MADE_UP, THERE), *too_wide(MADE_UP)] == []


def test_a_missing_file_is_noticed() -> None:
    """A file beside those of the map, or in a folder below, is named."""
    more = ["harness/b.py", "scenarios/deeper/x.py"]
    assert list(missing(MADE_UP, [*THERE, *more])) == more


def test_a_stale_entry_is_noticed() -> None:
    """An entry without a file, or given twice, is named."""
    assert list(stale(MADE_UP, [path for path in THERE if path != "harness/a.py"])) == ["harness/a.py"]
    assert list(stale(MADE_UP.replace("- `a.py`", "- `a.py`: x\n- `a.py`"), THERE)) == ["harness/a.py"]


def test_a_pattern_in_the_engine_is_noticed() -> None:
    """A whole folder of the harness can't hide behind a star."""
    assert list(too_wide(MADE_UP.replace("a.py", "*.py"))) == ["harness/*.py"]
