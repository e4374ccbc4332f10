"""Finding scenarios: by entry point, by module and by file, and what is said where there is none."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.errors import BadInput
from harness.scenario import Scenario, Workload


def _scenario(name: str, **more: Any) -> Scenario:
    return Scenario(
        name=name,
        setup=lambda _: None,
        operations={"f": print},
        workload=lambda n: Workload.each("f", workers=n),
        **more,
    )


BROKEN = _scenario("counter", variant="broken")
COUNTER = _scenario("counter", variants={"broken": BROKEN, "nameless": _scenario("counter")})
OTHER = _scenario("other")
ALL = (COUNTER, OTHER)
NOT_SCENARIOS = (1, 2)


def _entry_points(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    points = [EntryPoint(name, value, registry.GROUP) for name, value in values.items()]
    monkeypatch.setattr(registry, "entry_points", lambda group: points * 2 if group == registry.GROUP else [])


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two scenarios are installed, the folder has no settings, and the import path stays as it is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "installed_races", sys.modules[__name__])
    _entry_points(monkeypatch, mine="installed_races:ALL")


def test_installed_scenarios_are_found() -> None:
    """By name, in the order their distribution gives, each once."""
    assert list(registry.scenarios()) == ["counter", "other"]
    assert registry.find("counter") is COUNTER


def test_a_variant_is_found() -> None:
    """As it is, or with its name if it has none."""
    assert registry.find("counter", "broken") is BROKEN
    assert registry.find("counter", "nameless").variant == "nameless"


def test_an_unknown_scenario_is_reported() -> None:
    """With the nearest name and all names."""
    with pytest.raises(BadInput, match=r"no scenario 'countr'. Did you mean 'counter'\? There is: counter, other"):
        registry.find("countr")


def test_an_unknown_variant_is_reported() -> None:
    """With the nearest name and all names; a scenario without any says so."""
    with pytest.raises(BadInput, match=r"'counter' has no variant 'brokn'. Did you mean 'broken'\?"):
        registry.find("counter", "brokn")
    with pytest.raises(BadInput, match=r"'other' has no variant 'broken'. There is none"):
        registry.find("other", "broken")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("no_such_module:ALL", "ModuleNotFoundError"),
        ("installed_races:MISSING", "AttributeError"),
        ("installed_races:NOT_SCENARIOS", "not an iterable of scenarios"),
        ("installed_races:COUNTER", "not an iterable of scenarios"),
    ],
)
def test_a_broken_entry_point_is_named(value: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its name, its value and what is wrong."""
    _entry_points(monkeypatch, theirs=value)
    with pytest.raises(BadInput) as caught:
        registry.find("counter")
    assert f"theirs = {value}" in str(caught.value)
    assert why in str(caught.value)


def test_two_scenarios_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both entry points are named."""
    monkeypatch.setattr(sys.modules[__name__], "AGAIN", (replace(OTHER),), raising=False)
    _entry_points(monkeypatch, mine="installed_races:ALL", theirs="installed_races:AGAIN")
    with pytest.raises(BadInput, match="Two scenarios are called 'other'"):
        registry.scenarios()


def test_a_scenario_of_a_module_is_found() -> None:
    """`module:ATTRIBUTE`, also where the attribute is inside another."""
    assert registry.find("installed_races:OTHER") is OTHER
    assert registry.find("installed_races:COUNTER", "broken") is BROKEN


FILE = """\
from beside import NAME
from harness.scenario import Scenario, Workload
MINE = Scenario(name=NAME, setup=print, operations={"f": print}, workload=lambda n: Workload.each("f"))
"""


def test_a_scenario_of_a_file_is_found(tmp_path: Path) -> None:
    """`path/to/file.py:ATTRIBUTE`; the file may import what lies beside it, and can be found as a module."""
    (tmp_path / "beside.py").write_text("NAME = 'from a file'")
    (tmp_path / "my_races.py").write_text(FILE)
    scenario = registry.find(f"{tmp_path}/my_races.py:MINE")
    assert scenario.name == "from a file"
    assert sys.modules["my_races"].MINE is scenario
    with pytest.raises(BadInput, match=r"no 'MIEN'. Did you mean 'MINE'\?"):
        registry.find(f"{tmp_path}/my_races.py:MIEN")


def test_a_file_does_not_replace_a_module(tmp_path: Path) -> None:
    """A file that is called like a module in use is loaded under another name."""
    (tmp_path / "json.py").write_text("X = 1")
    import json

    with pytest.raises(BadInput, match="not a Scenario"):
        registry.find(f"{tmp_path}/json.py:X")
    assert sys.modules["json"] is json


def test_a_file_that_fails_is_reported(tmp_path: Path) -> None:
    """With the error and its line."""
    (tmp_path / "broken_races.py").write_text("import os\n1 / 0\n")
    with pytest.raises(BadInput, match=r"ZeroDivisionError: division by zero \(broken_races.py:2\)"):
        registry.find(f"{tmp_path}/broken_races.py:X")
    assert "broken_races" not in sys.modules


def test_a_file_that_exits_does_not_end_the_harness(tmp_path: Path) -> None:
    """An exit while importing must not pass for a verdict."""
    (tmp_path / "leaving_races.py").write_text("raise SystemExit(0)")
    with pytest.raises(BadInput, match="SystemExit"):
        registry.find(f"{tmp_path}/leaving_races.py:X")


@pytest.mark.parametrize("name", ["", "no such", "nowhere.py:X", "no.such.module:X", ":", ":X", "a:", "::", "..:X"])
def test_nonsense_is_refused(name: str) -> None:
    """Whatever is written, the answer is an explanation."""
    with pytest.raises(BadInput):
        registry.find(name)


# --- the project's own settings -------------------------------------------------------------------

THREE = """
from harness.scenario import Scenario, Workload

def racing(name):
    return Scenario(name=name, setup=print, operations={"f": print}, workload=lambda n: Workload.each("f", workers=n))

ONE = racing("one")
SEVERAL = (racing("two"), racing("three.of-many"))
MIXED = (ONE, 3)
"""


def _project(folder: Path, *references: str) -> None:
    (folder / "own_races.py").write_text(THREE)
    (folder / "pyproject.toml").write_text(f"[tool.harness]\nscenarios = {list(references)}\n")


def test_the_project_s_scenarios_are_known_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also from a folder inside it, one or several to a reference, beside the installed ones."""
    _project(tmp_path, "own_races.py:ONE", "own_races.py:SEVERAL")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert list(registry.scenarios()) == ["one", "two", "three.of-many", "counter", "other"]
    assert registry.find("two").name == "two"
    assert [each.installed for each in registry.named().values()] == [False, False, False, True, True]


def test_the_reference_of_each_finds_it_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the settings are not: by module, or by the file's path, and its name among several."""
    _project(tmp_path, "own_races.py:SEVERAL")
    references = [each.reference for each in registry.named().values() if not each.installed]
    assert references == ["own_races.py:SEVERAL.two", "own_races.py:SEVERAL.three.of-many"]
    assert registry.find(references[1]).name == "three.of-many"
    with pytest.raises(BadInput, match=r"'tow' is not there. Did you mean 'two'"):
        registry.find("own_races.py:SEVERAL.tow")


def test_one_of_several_must_be_named(tmp_path: Path) -> None:
    """A command that takes one scenario says which there are; what holds no scenarios is refused."""
    _project(tmp_path)
    with pytest.raises(BadInput, match=r"holds 2 scenarios. Name one: own_races.py:SEVERAL.two, "):
        registry.find("own_races.py:SEVERAL")
    with pytest.raises(BadInput, match="is a tuple, not a Scenario"):
        registry.find("own_races.py:MIXED")


def test_a_reference_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    """With what is wrong with it."""
    _project(tmp_path, "own_races.py:NONE")
    with pytest.raises(BadInput, match=r"'own_races.py' has no 'NONE'"):
        registry.scenarios()


def test_a_package_of_the_same_name_as_ours_is_told(tmp_path: Path) -> None:
    """A project that has a package ``harness`` of its own learns why a module of it isn't found."""
    (tmp_path / "clash.py").write_text("import harness.of_the_project\n")
    with pytest.raises(BadInput, match="package of its own called 'harness'"):
        registry.find(f"{tmp_path}/clash.py:X")
