"""Makes `docs/reference/modules.md` of the first lines of the modules' docstrings: `python -m tests.project.module_map`."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.project.sources import ROOT

__all__ = ["MAPPED", "PAGE", "module_map"]

MAPPED = ("harness", "scenarios", "reference_impl")
PAGE = ROOT / "docs" / "reference" / "modules.md"
_HEAD = """# Modules

Every module, with the first line of its docstring. `ARCHITECTURE.md` says how they fit together.
`python -m tests.project.module_map` makes this page.
"""


def first_line(path: Path) -> str:
    """Return the first line of the docstring of the module at *path*, empty if it has none."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def module_map(root: Path = ROOT, folders: Sequence[str] = MAPPED) -> str:
    """Return the page: a table for each folder below *folders* that has modules with a docstring."""
    return "\n".join([_HEAD, *(line for folder in folders for line in _tables(root, root / folder))]) + "\n"


def _tables(root: Path, folder: Path) -> Iterator[str]:
    rows = [(path.name, first_line(path)) for path in sorted(folder.glob("*.py"))]
    if any(text for _, text in rows):
        yield from (f"## {folder.relative_to(root).as_posix()}/", "", "| file | what it is |", "|---|---|")
        yield from (f"| `{name}` | {text.replace('|', chr(92) + '|')} |" for name, text in rows if text)
        yield ""
    for inner in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))):
        yield from _tables(root, inner)


if __name__ == "__main__":
    PAGE.write_text(module_map(), encoding="utf-8")
