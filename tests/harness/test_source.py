"""Which line of the code under test is running."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from harness.worker import source
from harness.worker.source import where


@pytest.mark.parametrize(("package", "found"), [("aiosqlite", "test_source.py"), ("made_up", "core.py")])
def test_a_library_is_one_wherever_it_lies(
    package: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of a library is passed over though it was installed into a folder of its own; another package's is not."""
    module = ModuleType(package)
    module.__path__ = [str(tmp_path / package)]
    monkeypatch.setitem(sys.modules, package, module)
    names = {"where": where}
    exec(compile("place = where()", str(tmp_path / package / "core.py"), "exec"), names)
    assert Path(names["place"][0]).name == found


def test_the_outermost_files_are_there() -> None:
    """A file that was moved would no longer end a stack, and a line of the user's own process would be named."""
    assert [file for file in source._OUTERMOST if not Path(file).is_file()] == []
