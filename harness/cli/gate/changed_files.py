"""Select scenarios by changed files: those with a change in their code or in its imports from the repository."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from harness.cli.compare.git import git, top_of
from harness.errors import BadInput
from harness.saved.source_digest import files_of
from harness.scenario import Scenario

__all__ = ["unchanged"]

_CONCERNS_ALL = ("pyproject.toml", "constraints.txt", "setup.py", "setup.cfg", "uv.lock", "poetry.lock", "pdm.lock")
_OTHERWISE = (
    "So what changed can't be known. Is this a repository, and the revision in it? A shallow clone may lack it."
)


def unchanged(chosen: Sequence[tuple[str, Scenario]], revision: str, root: Path) -> dict[str, str]:
    """Return the names of the scenarios in *chosen* that no change since *revision* affects, each with the reason.

    A scenario is affected by changes in the files that its functions and those of its variants come from, in all files
    that these import from the repository at *root*, and in files beside one of them that are not Python. If a file that
    lists dependencies has changed, all scenarios are affected; a scenario without a file in the repository always is.
    Raises ``BadInput`` if *revision* is not a revision or *root* is not in a repository.
    """
    top = top_of(root, otherwise=_OTHERWISE)
    changed = {top / name for name in _changed(root, revision)}
    if any(path.name in _CONCERNS_ALL or path.name.startswith("requirements") for path in changed):
        return {}
    left_out = {}
    for reference, scenario in chosen:
        files = _closure({*files_of(scenario), *_file_named(reference)}, top)
        folders = {file.parent for file in files}
        if not files:
            continue
        if not any(path in files or (path.suffix != ".py" and path.parent in folders) for path in changed):
            left_out[scenario.name] = f"none of the {len(files)} files that it uses changed since {revision}"
    return left_out


def _changed(root: Path, revision: str) -> list[str]:
    if revision.startswith("-"):
        raise BadInput(f"{revision!r} is no revision. Give a commit, a tag or a branch, such as origin/main.")
    names = git(root, "diff", "--name-only", "-z", revision, "--", ":/", otherwise=_OTHERWISE)
    new = git(root, "ls-files", "--others", "--exclude-standard", "--full-name", "-z", ":/", otherwise=_OTHERWISE)
    return [name for name in (names + new).split("\0") if name]


# --- the files of a scenario ----------------------------------------------------------------------


def _file_named(reference: str) -> Iterator[Path]:
    place = reference.rpartition(":")[0]
    if place.endswith(".py") or "/" in place:
        yield Path(place).resolve()


def _closure(files: Iterable[Path], top: Path) -> set[Path]:
    """Return *files* and all files that they import, directly or not, if they lie in the repository at *top*."""
    found: set[Path] = set()
    todo = [file for file in files if file.is_relative_to(top)]
    while todo:
        file = todo.pop()
        if file in found or not file.is_file():
            continue
        found.add(file)
        todo += [imported for imported in _imported(file) if imported.is_relative_to(top)]
    return found


def _imported(file: Path) -> Iterator[Path]:
    """Yield the files of the modules that *file* may import, with the packages that contain them."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return
    package = _package_of(file)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files_of_module(alias.name, file)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            name = ".".join(part for part in (base, node.module or "") if part)
            yield from _files_of_module(name, file)
            for alias in node.names:
                yield from _files_of_module(f"{name}.{alias.name}", file)


def _package_of(file: Path) -> list[str]:
    parts: list[str] = []
    folder = file.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return parts


def _files_of_module(name: str, importer: Path) -> Iterator[Path]:
    parts = name.split(".")
    roots = [importer.parent, *(Path(entry or ".").resolve() for entry in sys.path)]
    for root in roots:
        for length in range(1, len(parts) + 1):
            base = root.joinpath(*parts[:length])
            for path in (base.with_suffix(".py"), base / "__init__.py"):
                if path.is_file():
                    yield path
