"""Reads the source of the code under test for the calls that look like schedule points; runs and imports nothing of it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.values.history import Source

__all__ = ["unreached"]

_STATEMENTS = {
    "commit", "execute", "execute_fetchall", "execute_insert", "executemany", "executescript", "rollback",
}  # fmt: skip
"""What ``sqlite3`` and ``aiosqlite`` call that which always is a schedule point, or is one where there is something to do."""

_LARGEST = 2**20
"""Bytes of a source file that are still read."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def unreached(seen: Iterable[Source]) -> list[str]:
    """Return the calls, as ``file:line call``, that look like schedule points and are at no line of those *seen*.

    Looked at is every function in which a schedule point was seen, or from which a function in another file was called that led
    to one. A call looks like one if it is named like a statement of ``sqlite3``, or like such a function.
    """
    lines: dict[Path, set[int]] = {}
    names = set(_STATEMENTS)
    sources = set(seen)
    folders = {Path(source.file).parent for source in sources}
    for source in sources:
        lines.setdefault(Path(source.file), set()).add(source.line)
        name, _, line = source.caller.rpartition(":")
        if name and line.isdecimal():
            names.add(source.function.rpartition(".")[2])
            for file in [folder / name for folder in folders if (folder / name).is_file()][:1]:
                lines.setdefault(file, set()).add(int(line))
    return [f"{file.name}:{call}" for file in sorted(lines) for call in _calls(file, lines[file], names)]


def _calls(file: Path, lines: set[int], names: set[str]) -> Iterator[str]:
    """Yield the calls of *names* in *file* that none of *lines* is in, from functions that one of them is in."""
    for function in ast.walk(_parsed(file)):
        if not isinstance(function, _Function) or not _holds(function, lines):
            continue
        own = list(_within(function))
        if not any(_holds(node, lines) for node in own):
            continue
        for node in own:
            if isinstance(node, ast.Call) and (name := _name(node)) in names and not _holds(node, lines):
                yield f"{node.lineno} {name}"


def _parsed(file: Path) -> ast.AST:
    try:
        if file.stat().st_size <= _LARGEST:
            return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    return ast.Module([], [])


def _within(function: _Function) -> Iterator[ast.expr | ast.stmt]:
    """Yield the nodes of *function*, but not those of functions defined in it."""
    todo: list[ast.AST] = list(function.body)
    while todo:
        node = todo.pop(0)
        if isinstance(node, ast.expr | ast.stmt):
            yield node
        if not isinstance(node, _Function | ast.Lambda):
            todo.extend(ast.iter_child_nodes(node))


def _holds(node: ast.expr | ast.stmt, lines: set[int]) -> bool:
    return any(node.lineno <= line <= (node.end_lineno or node.lineno) for line in lines)


def _name(call: ast.Call) -> str:
    function = call.func
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )
