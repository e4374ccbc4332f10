"""`[tool.harness]`: what it may say, and what becomes of what it may not."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from harness.errors import BadInput
from harness.project.settings import KEYS, Settings, load

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


def written(folder: Path, text: str) -> Path:
    """Return a settings file that says *text*."""
    file = folder / "pyproject.toml"
    file.write_text(text)
    return file


def test_every_key_has_its_field_and_is_documented() -> None:
    """The table in the documentation says of each key what the code says."""
    names = {field.name.replace("_", "-") for field in fields(Settings)} - {"root", "file", "given"}
    assert set(KEYS) == names
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", DOCUMENT.read_text(), re.MULTILINE))
    assert rows == {key: text for key, (_, text) in KEYS.items()}


def test_the_nearest_file_upward_counts(tmp_path: Path) -> None:
    """Paths in it are from its folder; without any file there are the defaults."""
    written(tmp_path, '[tool.harness]\nseconds = 3\nscenarios = ["a*"]\nreport = "out"\nvariant-executions = 7\n')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    found = load(start=below)
    assert (found.seconds, found.scenarios, found.report) == (3.0, ("a*",), tmp_path / "out")
    assert (found.variant_executions, found.executions, found.root) == (7, 20_000, tmp_path)


def test_a_file_without_the_table_gives_the_defaults(tmp_path: Path) -> None:
    """So does an empty one."""
    assert load(written(tmp_path, "")) == Settings(root=tmp_path, file=tmp_path / "pyproject.toml")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[tool.harness]\nsecond = 3", "no key 'second'. Did you mean 'seconds'?"),
        ("[tool.harness]\nseconds = 0", "'seconds' in [tool.harness] should be a number of seconds above 0, but is 0"),
        ("[tool.harness]\nseconds = true", "but is True"),
        ("[tool.harness]\njobs = 1.5", "a whole number above 0"),
        ("[tool.harness]\nseed = -1", "a whole number from 0"),
        ('[tool.harness]\nscenarios = "one"', "a list of names"),
        ("[tool.harness]\noutput = 7", "the path of a folder"),
        ("[tool]\nharness = 7", "should be a table"),
        ("tool = 7", "not TOML as expected"),
        ("[tool.harness", "not TOML as expected"),
    ],
)
def test_what_is_wrong_is_named(text: str, why: str, tmp_path: Path) -> None:
    """With the value, and what would do."""
    with pytest.raises(BadInput, match=re.escape(why)):
        load(written(tmp_path, text))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Where it was named."""
    with pytest.raises(BadInput, match="can't be read"):
        load(tmp_path / "none.toml")
