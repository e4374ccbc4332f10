"""The two sides of a comparison: variants of a scenario here, or git revisions in temporary worktrees."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cli.compare.git import git, top_of
from harness.errors import BadInput, HarnessError
from harness.project import config

__all__ = ["Side", "SideFailed", "revisions"]

_OTHERWISE = (
    "Is this a repository, and is each of the two a revision in it? To compare variants: --scenario NAME BASE HEAD"
)
_PINS = ("constraints.txt", "requirements.txt", "uv.lock", "poetry.lock", "pdm.lock")


class SideFailed(HarnessError):
    """Raised if a command of one side gives no answer."""


@dataclass(frozen=True, slots=True)
class Side:
    """One version: its name, its folder, the Python that runs its commands, and the variant of scenarios there."""

    name: str
    folder: Path
    variant: str = ""
    python: str = sys.executable
    paths: tuple[str, ...] = ()
    postgres: str = ""
    """The URL of the PostgreSQL server that it races over; empty: as the environment says."""

    def ask(self, *arguments: str, seconds: float) -> dict[str, Any]:
        """Run a command of the harness on this version's code, and return the JSON object that it prints.

        Raises ``SideFailed`` if the command prints no JSON or takes longer than *seconds*.
        """
        variant = ["--variant", self.variant] if self.variant else []
        return dict(self._said(*arguments, *variant, seconds=seconds))

    def scenarios(self, seconds: float) -> dict[str, bool]:
        """Return the names of the scenarios known there, each with whether a distribution installed it; raises as ``ask``."""
        return {
            str(each["scenario"]): bool(each.get("installed", True)) for each in self._said("list", seconds=seconds)
        }

    def _said(self, *arguments: str, seconds: float) -> Any:
        command = [self.python, "-m", "harness", *arguments, "--json"]
        environment = config.child_environment(self.paths, postgres=self.postgres)
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=environment,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=seconds,
            )
            said: Any = json.loads(done.stdout)
        except subprocess.TimeoutExpired:
            raise SideFailed(f"`harness {arguments[0]}` over {self.name} took more than {seconds:g} s.") from None
        except ValueError:
            words = done.stderr.decode(errors="replace").strip() or f"it ended with exit code {done.returncode}"
            raise SideFailed(f"`harness {arguments[0]}` over {self.name} gave no answer: {words}") from None
        return said


@contextmanager
def revisions(base: str, head: str, postgres: str = "") -> Iterator[tuple[Side, Side]]:
    """Check out *base* and *head* into temporary worktrees of the repository here; yield both sides.

    Both run with this Python, with their own code first on its path. If their dependencies differ, each gets a virtual
    environment instead, in which its dependencies come before the packages installed here. Raises ``BadInput`` if
    *base* or *head* is not a revision.
    """
    top = top_of(Path.cwd(), otherwise=_OTHERWISE)
    below = Path.cwd().resolve().relative_to(top.resolve())
    commits = [_commit(top, name) for name in (base, head)]
    root = Path(tempfile.mkdtemp(prefix="race-harness-compare-"))
    trees = [root / "base", root / "head"]
    try:
        for tree, commit in zip(trees, commits, strict=True):
            git(top, "worktree", "add", "--quiet", "--detach", str(tree), commit, otherwise=_OTHERWISE)
        differ = _needs(trees[0]) != _needs(trees[1])
        sides = [
            Side(
                name,
                tree / below,
                python=_installed(tree, root) if differ else sys.executable,
                paths=_paths(tree, below),
                postgres=postgres,
            )
            for name, tree in zip((base, head), trees, strict=True)
        ]
        yield sides[0], sides[1]
    finally:
        for tree in trees:
            subprocess.run(
                ["git", "worktree", "remove", "--force", str(tree)], cwd=top, capture_output=True, check=False
            )
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(["git", "worktree", "prune"], cwd=top, capture_output=True, check=False)


def _commit(top: Path, name: str) -> str:
    return git(top, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}", otherwise=_OTHERWISE).strip()


def _paths(tree: Path, below: Path) -> tuple[str, ...]:
    places = (tree / below, tree, tree / "src")
    return tuple(dict.fromkeys(str(place) for place in places if place.is_dir()))


def _needs(tree: Path) -> object:
    """Return the dependencies of the version at *tree*: from ``pyproject.toml`` and the files that pin versions."""
    project: Any = {}
    if (file := tree / "pyproject.toml").is_file():
        try:
            project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadInput(f"The pyproject.toml of one version can't be read: {error}") from None
    pins = [(tree / name).read_bytes() if (tree / name).is_file() else b"" for name in _PINS]
    return project.get("dependencies"), project.get("optional-dependencies"), pins


def _installed(tree: Path, root: Path) -> str:
    """Install the version at *tree* in a new environment, before the packages installed here; return its Python."""
    place = root / f"environment-{tree.name}"
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    constraints = ["-c", str(tree / "constraints.txt")] if (tree / "constraints.txt").is_file() else []
    command = [str(python), "-m", "pip", "install", "--quiet", *constraints, str(tree)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SideFailed(f"What {tree.name} needs can't be installed: {done.stderr.strip()[-600:]}")
    (site,) = place.glob("lib/python*/site-packages")
    (site / "zz-behind.pth").write_text("\n".join(entry for entry in sys.path if entry) + "\n")
    return str(python)
