"""`make dist`: builds the wheel and the sdist, and tries the wheel in a fresh environment, beside awkward projects.

    python -m tests.project.dist_check [FOLDER]

FOLDER (default: dist) gets both. Exit code 1 with the first thing that is wrong.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.project.sources import ROOT

TOP_LEVEL = {"harness", "race_harness_pytest.py"}
SDIST_HAS = ("README.md", "LICENSE", "CHANGELOG.md", "Makefile", "constraints.txt", "pyproject.toml", "mkdocs.yml")
BESIDE = ("uvicorn==0.34.0", "fastapi==0.112.0", "pytest>=8")
"""What a project has installed beside the harness: old versions, which our requirements must allow."""

TEST = """
def test_own_packages():
    import reports.mine, scenarios.mine
    assert reports.mine.X + scenarios.mine.X == 2
"""
OWN_HARNESS = """
def test_own_harness():
    import harness.mine
    assert harness.mine.X == 1
"""


class Wrong(Exception):
    """The distribution is not as it should be."""


def build(folder: Path) -> tuple[Path, Path]:
    """Build both into *folder*, the wheel from the sdist's content; return wheel and sdist."""
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], ROOT)
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    return wheel, sdist


def check_files(wheel: Path, sdist: Path) -> None:
    """Raise ``Wrong`` if either lacks a file, has one too many, or shows relative links to readers of its metadata."""
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
        metadata = opened.read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
    top = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    if top != TOP_LEVEL:
        raise Wrong(f"the wheel has {sorted(top)} at its top level, not {sorted(TOP_LEVEL)}")
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "harness").rglob("*") if path.suffix != ".pyc"}
    missing = {name for name in sources if (ROOT / name).is_file()} - set(names)
    if missing:
        raise Wrong(f"the wheel lacks {sorted(missing)[:5]}")
    if relative := [part for part in metadata.split("](")[1:] if not part.startswith(("https://", "#"))]:
        raise Wrong(f"the description has a relative link, which leads nowhere on PyPI: {relative[0][:60]!r}")
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    tracked = _run(["git", "ls-files"], ROOT).split() if (ROOT / ".git").exists() else list(SDIST_HAS)
    if lacking := [name for name in tracked if name not in inside and not name.startswith(".")]:
        raise Wrong(f"the sdist lacks {lacking[:5]}")


def try_wheel(wheel: Path) -> Iterator[str]:
    """Install *wheel* in a fresh environment, and yield what has been tried there; raises ``Wrong``."""
    with _environment() as (folder, python):
        _run([python, "-m", "pip", "install", "-q", str(wheel), *BESIDE], folder)
        yield f"installed beside {', '.join(BESIDE)}"
        command = str(Path(python).parent / "harness")
        _run([command, "--version"], folder)
        project = folder / "project"
        for package in ("reports", "scenarios"):
            (project / package).mkdir(parents=True)
            (project / package / "__init__.py").touch()
            (project / package / "mine.py").write_text("X = 1\n")
        (project / "test_own.py").write_text(TEST)
        _run([command, "init"], project)
        _run([command, "gate"], project)
        yield "harness init, then harness gate"
        _run([python, "-m", "pytest", "-q", "test_own.py"], project)
        yield "pytest in a project that has packages reports and scenarios"
        clash = folder / "clash"
        (clash / "harness").mkdir(parents=True)
        (clash / "harness" / "__init__.py").touch()
        (clash / "harness" / "mine.py").write_text("X = 1\n")
        (clash / "test_own.py").write_text(OWN_HARNESS)
        (clash / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
        for pytest in ([python, "-m", "pytest"], [str(Path(python).parent / "pytest")]):
            if "not loaded" not in _run([*pytest, "test_own.py"], clash):
                raise Wrong("pytest does not say that a package of the project takes the harness's place")
        yield "pytest in a project that has a package harness"


@contextmanager
def _environment() -> Iterator[tuple[Path, str]]:
    with tempfile.TemporaryDirectory(prefix="race-harness-dist-") as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        yield folder, str(folder / "venv" / "bin" / "python")


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-2000:]
        raise Wrong(f"`{' '.join(command)}` ended with exit code {done.returncode}:\n{said}")
    return done.stdout


def main(folder: Path) -> int:
    """Do all of it; print what was tried, and return the exit code."""
    try:
        wheel, sdist = build(folder)
        print(f"built: {wheel.name}, {sdist.name}")
        check_files(wheel, sdist)
        print("files and metadata: as they should be")
        for tried in try_wheel(wheel):
            print(f"tried: {tried}", flush=True)
    except Wrong as wrong:
        print(f"dist: {wrong}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "dist")))
