"""What the repository holds and what its import costs: no machine's paths, no index, pins, a light root."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.project.sources import ROOT

EVERYBODYS = {
    Path("/"),
    *map(Path, ("/tmp", "/var/tmp", "/dev/shm", "/home", "/usr", "/opt", "/srv", "/var", "/mnt")),
}
"""Folders that any text may name, even where this checkout or a home lies directly in one of them."""

HEAVY = ("hypothesis", "pytest", "sqlite3", "aiosqlite")
PIN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*==[0-9]+(\.[0-9]+)*(\.post[0-9]+)?")

# Written in parts, so that this file doesn't offend against itself.
INDEX = re.compile(
    "|".join([r"(https?|file)://\S+/" + r"simple\b", "index" + "-url", "INDEX" + "_URL", "--find" + "-links"])
)


# --- files ----------------------------------------------------------------------------------------


@cache
def _tracked() -> dict[str, str]:
    """Return all text files that are tracked or would be, by path."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout, so nothing says which files belong to the repository")
    paths = [ROOT / name for name in done.stdout.decode().split("\0") if name]
    return {str(path.relative_to(ROOT)): path.read_text(errors="replace") for path in paths if path.is_file()}


def _machine_paths() -> list[Path]:
    return [path for path in (ROOT, ROOT.parent, Path.home()) if path not in EVERYBODYS]


def _names_of(places: Iterable[Path], text: str) -> list[str]:
    """Return the lines of *text* in which one of *places* stands as an absolute path."""
    alternatives = "|".join(re.escape(str(place)) for place in places)
    pattern = re.compile(rf"(?<![\w.\-/~}}])({alternatives})(?![\w\-])|/(home|Users)/\w+/")
    return [line.strip() for line in text.splitlines() if pattern.search(line)]


def test_no_file_names_a_place_on_this_machine() -> None:
    """Neither the checkout, nor the folder it is in, nor a home folder occurs in any file."""
    places = _machine_paths()
    found = {path: lines for path, text in _tracked().items() if (lines := _names_of(places, text))}
    assert found == {}


def test_a_place_on_this_machine_is_noticed() -> None:
    """An absolute path is found where it stands alone, and not as a part of another word."""
    places = [Path("/w/main"), Path("/w")]
    assert _names_of(places, 'see "/w/main/a.py"\n/w/shared\n/wide and a/w/b ok')[:2] == [
        'see "/w/main/a.py"',
        "/w/shared",
    ]
    assert _names_of(places, "/wide\na/w/b\n../w/x\n{tmp}/w") == []
    assert _names_of(places, "in /" + "home/somebody/project") != []


def test_no_file_names_a_package_index() -> None:
    """Where packages come from is a matter of the machine, so no file says it."""
    found = {path: match[0] for path, text in _tracked().items() if (match := INDEX.search(text))}
    assert found == {}


@pytest.mark.parametrize(
    "text", ["https://pypi.example/" + "simple/", "--extra-index" + "-url x", "PIP_INDEX" + "_URL=x"]
)
def test_a_package_index_is_noticed(text: str) -> None:
    """Addresses and options that name an index are found."""
    assert INDEX.search(text)


# --- packages -------------------------------------------------------------------------------------


def _requirements() -> Iterator[Requirement]:
    """Yield everything of others that `pyproject.toml` asks for, wherever it does."""
    config: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = config["project"]
    groups = [
        config["build-system"]["requires"],
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *config["dependency-groups"].values(),
    ]
    asked = (Requirement(text) for group in groups for text in group)
    return (requirement for requirement in asked if requirement.name != project["name"])


def _pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {name: version for name, _, version in (line.partition("==") for line in lines)}


def _has_lower_bound(requirement: Requirement) -> bool:
    return any(part.operator in (">=", "~=") for part in requirement.specifier)


def test_every_dependency_has_a_lower_bound() -> None:
    """What is asked for says the oldest version that will do."""
    assert [str(requirement) for requirement in _requirements() if not _has_lower_bound(requirement)] == []


def test_a_dependency_without_lower_bound_is_noticed() -> None:
    """Neither a bare name nor an upper bound is enough."""
    assert not _has_lower_bound(Requirement("made-up"))
    assert not _has_lower_bound(Requirement("made-up<2"))


def test_every_dependency_is_pinned_to_a_version_that_will_do() -> None:
    """Each dependency has a pin, and the pin meets what is asked for."""
    pins = _pins()
    asked = {canonicalize_name(requirement.name): requirement.specifier for requirement in _requirements()}
    assert asked.keys() <= pins.keys()
    assert [name for name, specifier in asked.items() if pins[name] not in specifier] == []


def test_constraints_are_names_and_versions_only() -> None:
    """Every line is `name==version`, in order, each name once."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not PIN.fullmatch(line)] == []
    assert list(_pins()) == sorted(set(_pins()))
    assert len(_pins()) == len(lines)


@pytest.mark.parametrize(
    "line", ["made-up", "made-up>=1", "made-up @ https://example.invalid/a.whl", "# note", "a==1 ; x"]
)
def test_a_constraint_that_is_more_is_noticed(line: str) -> None:
    """Ranges, addresses, markers and comments are not pins."""
    assert not PIN.fullmatch(line)


# --- the package root -----------------------------------------------------------------------------


def _loaded_by(statement: str) -> set[str]:
    """Return which of the heavy packages a fresh Python has loaded after *statement*."""
    code = f"import sys\n{statement}\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(ast.literal_eval(done.stdout))


@pytest.mark.slow
def test_importing_the_root_is_light() -> None:
    """`import harness` loads neither Hypothesis nor pytest nor a database."""
    assert _loaded_by("import harness") == set()


@pytest.mark.slow
def test_a_heavy_import_is_noticed() -> None:
    """The check above sees what a statement loads."""
    assert _loaded_by("import aiosqlite") == {"aiosqlite", "sqlite3"}


def test_the_root_has_at_most_15_names() -> None:
    """All of them exist, and there are few enough to learn."""
    import harness

    assert 1 <= len(harness.__all__) <= 15
    assert [name for name in harness.__all__ if not hasattr(harness, name)] == []
