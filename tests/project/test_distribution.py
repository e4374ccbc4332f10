"""What is in the wheel and the sdist, and what their description says; `make dist` also tries the wheel."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.project.dist_check import Wrong, build, check_files


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the sdist."""
    return build(tmp_path_factory.mktemp("dist"))


@pytest.mark.slow
def test_the_wheel_has_one_package(built: tuple[Path, Path]) -> None:
    """With all its files, and a description whose links work on PyPI; the sdist has the repository."""
    check_files(*built)


@pytest.mark.slow
def test_the_wheel_needs_only_what_the_engine_needs(built: tuple[Path, Path]) -> None:
    """Nothing of the reference implementation, and no upper bound."""
    with zipfile.ZipFile(built[0]) as wheel:
        metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith("METADATA"))).decode()
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line]
    assert sorted(line.split(": ")[1].partition(">")[0] for line in needed) == ["httpx", "hypothesis", "multiprocess"]
    assert not [line for line in needed if "<" in line or "==" in line]
    assert "Framework :: Pytest" in metadata


@pytest.mark.slow
def test_a_relative_link_is_noticed(built: tuple[Path, Path], tmp_path: Path) -> None:
    """A description that PyPI would show with a dead link is refused."""
    broken = tmp_path / built[0].name
    with zipfile.ZipFile(built[0]) as old, zipfile.ZipFile(broken, "w") as new:
        for item in old.infolist():
            data = old.read(item)
            new.writestr(item, data + b"\n[x](docs/x.md)\n" if item.filename.endswith("METADATA") else data)
    with pytest.raises(Wrong, match="relative link"):
        check_files(broken, built[1])
