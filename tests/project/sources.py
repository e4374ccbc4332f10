"""The project's source files as syntax trees: the only file here that parses Python."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("harness", "scenarios", "reference_impl")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One Python file: its path from the root of the repository, with slashes, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text, self.path)

    @property
    def module(self) -> str:
        """The dotted name it is imported by."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def imports(self) -> Iterator[tuple[int, str]]:
        """Yield the line and dotted name of all it imports: also in functions, for type checking, by name."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
            elif isinstance(node, ast.Call) and (name := _imported_by_call(node)):
                yield node.lineno, name

    def functions(self) -> Iterator[Function]:
        """Yield every function and method, nested ones too."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def uses_of(self, module: str, names: frozenset[str]) -> Iterator[tuple[int, str]]:
        """Yield the line and dotted name of each use of *names* of *module*, however it was imported."""
        known_as = {module}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                known_as |= {alias.asname for alias in node.names if alias.name == module and alias.asname}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.module == module and not node.level:
                yield from ((node.lineno, f"{module}.{a.name}") for a in node.names if a.name in names)
            elif isinstance(node, ast.Attribute) and node.attr in names and _name(node.value) in known_as:
                yield node.lineno, f"{module}.{node.attr}"

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        up = node.level - self.path.endswith("/__init__.py")
        parts = self.module.split(".")
        return ".".join([*parts[: len(parts) - up], *([node.module] if node.module else [])])


def _name(node: ast.expr) -> str | None:
    return node.id if isinstance(node, ast.Name) else None


def _imported_by_call(node: ast.Call) -> str | None:
    called = node.func.attr if isinstance(node.func, ast.Attribute) else _name(node.func)
    if called in ("import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
        return str(node.args[0].value)
    return None


def body_lines(function: Function) -> int:
    """Return how many lines the body of *function* takes, docstring apart."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def within(name: str, package: str) -> bool:
    """Return whether the dotted *name* is *package* or something inside it."""
    return name == package or name.startswith(package + ".")


def read_sources(*folders: str) -> list[Source]:
    """Return the Python files of *folders* as they are on disk."""
    return [
        Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]
