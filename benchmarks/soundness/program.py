"""A random program as data: its statements, its text as Python, and its functions."""

from __future__ import annotations

import ast
import json
import linecache
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["Block", "Program", "Statement", "functions_of", "module_of", "source_of"]


@dataclass(frozen=True, slots=True)
class Block:
    """A statement that holds others. ``kind`` says how:

    - ``with``: *head* is what stands between ``with`` and the colon (or the whole line, where it ends with a colon); the one
      body is in it. In tasks ``async with``.
    - ``threads`` and ``tasks``: the bodies run at once, each in a thread or a task of its own.
    """

    kind: str
    head: str
    bodies: tuple[tuple[Statement, ...], ...]


Statement = str | Block
"""A line of Python, an expression (whose value is noted) or an assignment; or a block of them."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """A random program: a few workers at once, each with one call.

    ``setup`` are statements over ``db``, ``d`` (its directory) and, if it is used, ``c`` (a connection in autocommit
    mode); ``shared`` are statements of the module, run before the workers are forked. ``kills`` and ``cancels`` are the
    most workers that may be killed, and calls that may be cancelled. ``sleeps`` says that it looks at the time.
    """

    seed: int
    family: str
    workers: tuple[tuple[Statement, ...], ...]
    setup: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    kills: int = 0
    cancels: int = 0
    tasks: bool = False
    sleeps: bool = False

    @property
    def size(self) -> int:
        """The number of its statements."""
        return len(self.setup) + len(self.shared) + sum(map(_count, self.workers)) + self.kills + self.cancels

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(
            {**{name: getattr(self, name) for name in _FIELDS}, "workers": _plain(self.workers)}, indent=1
        )

    @classmethod
    def from_json(cls, text: str) -> Program:
        """Return the program that ``to_json`` made *text* of."""
        data = {name: value for name, value in json.loads(text).items() if name in (*_FIELDS, "workers")}
        data["workers"] = tuple(map(_statements, data["workers"]))
        return cls(**{**data, "setup": tuple(data["setup"]), "shared": tuple(data["shared"])})

    def smaller(self) -> Iterator[Program]:
        """Yield programs with a statement, a block or a fault less, the largest steps first."""
        if len(self.workers) > 1:
            for number in range(len(self.workers)):
                yield replace(self, workers=_without(self.workers, number))
        for number, body in enumerate(self.workers):
            for shorter in _shorter(body):
                yield replace(self, workers=(*self.workers[:number], shorter, *self.workers[number + 1 :]))
        for number in range(len(self.setup)):
            yield replace(self, setup=_without(self.setup, number))
        for number in range(len(self.shared)):
            yield replace(self, shared=_without(self.shared, number))
        if self.kills:
            yield replace(self, kills=self.kills - 1)
        if self.cancels:
            yield replace(self, cancels=self.cancels - 1)


_FIELDS = ("seed", "family", "setup", "shared", "kills", "cancels", "tasks", "sleeps")


def _count(body: tuple[Statement, ...]) -> int:
    return sum(1 if isinstance(one, str) else 1 + sum(map(_count, one.bodies)) for one in body)


def _plain(value: Any) -> Any:
    if isinstance(value, Block):
        return {"kind": value.kind, "head": value.head, "bodies": _plain(value.bodies)}
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def _statements(body: list[Any]) -> tuple[Statement, ...]:
    return tuple(
        one if isinstance(one, str) else Block(one["kind"], one["head"], tuple(map(_statements, one["bodies"])))
        for one in body
    )


def _without(items: tuple[Any, ...], number: int) -> tuple[Any, ...]:
    return items[:number] + items[number + 1 :]


def _shorter(body: tuple[Statement, ...]) -> Iterator[tuple[Statement, ...]]:
    """Yield *body* with something left out: halves first, then statements, then blocks opened, then parts of blocks."""
    if len(body) > 3:
        yield body[: len(body) // 2]
        yield body[len(body) // 2 :]
    for number in range(len(body)):
        yield _without(body, number)
    for number, one in enumerate(body):
        if isinstance(one, Block):
            before, after = body[:number], body[number + 1 :]
            for inner in one.bodies:
                yield (*before, *inner, *after)
            for place, inner in enumerate(one.bodies):
                if len(one.bodies) > 1:
                    yield (*before, replace(one, bodies=_without(one.bodies, place)), *after)
                for less in _shorter(inner):
                    yield (*before, replace(one, bodies=(*one.bodies[:place], less, *one.bodies[place + 1 :])), *after)


_HEAD = '''"""The soundness program of seed {seed} ({family}), {faults}."""
import asyncio, contextlib, fcntl, multiprocessing, os, queue, shutil, sqlite3, threading, time
from pathlib import Path
from benchmarks.soundness.prelude import Told

WAIT, UNIT = {wait}, {unit}  # seconds for a lock; a second of the program's own
'''


def source_of(program: Program, wait: float = 5.0, unit: float = 1.0) -> str:
    """Return *program* as a module: ``setup(db)`` and a function ``w0(db)``, ``w1(db)`` ... for each worker.

    Its statements wait *wait* seconds for a lock of SQLite, and take *unit* seconds for a second.
    """
    faults = f"{program.kills} kills, {program.cancels} cancels"
    lines = [_HEAD.format(seed=program.seed, family=program.family, faults=faults, wait=wait, unit=unit)]
    if program.tasks:
        lines.append("import aiosqlite")
    lines += program.shared
    lines += ["", "", "def setup(db):", "    d = db.parent"]
    if any("c." in line for line in program.setup):
        lines.append("    c = sqlite3.connect(db, isolation_level=None)")
    lines += [f"    {line}" for line in program.setup]
    if any("c." in line for line in program.setup):
        lines.append("    c.close()")
    for number, body in enumerate(program.workers):
        lines += ["", "", f"{'async ' if program.tasks else ''}def w{number}(db):", "    d, told = db.parent, Told()"]
        lines += _lines(body, 1, program.tasks)
        lines.append("    return told.notes")
    return "\n".join(lines) + "\n"


def _lines(body: tuple[Statement, ...], depth: int, tasks: bool) -> Iterator[str]:
    indent = "    " * depth
    for one in body:
        if isinstance(one, str):
            noted = _is_expression(one)
            yield f"{indent}with told:\n{indent}    {f'told({one})' if noted else one}"
        elif one.kind == "with":
            yield f"{indent}with told:"
            yield f"{indent}    {one.head if one.head.endswith(':') else f'with {one.head}:'}"
            yield from _lines(one.bodies[0], depth + 2, tasks) if one.bodies[0] else [f"{indent}        pass"]
        else:
            names = [f"p{depth}{number}" for number in range(len(one.bodies))]
            is_task = one.kind == "tasks"
            for name, inner in zip(names, one.bodies, strict=True):
                yield f"{indent}{'async ' if is_task else ''}def {name}(told):"
                yield from _lines(inner, depth + 1, is_task) if inner else [f"{indent}    pass"]
            call = f"told.{one.kind}({', '.join(names)})"
            yield f"{indent}with told:\n{indent}    told({'await ' if is_task else ''}{call})"


def _is_expression(line: str) -> bool:
    """Return whether *line*, in which something may be awaited, is one expression."""
    (function,) = ast.parse(f"async def f():\n    {line}").body
    assert isinstance(function, ast.AsyncFunctionDef)
    return len(function.body) == 1 and isinstance(function.body[0], ast.Expr)


def module_of(program: Program, wait: float = 5.0, unit: float = 1.0) -> ModuleType:
    """Return the module that ``source_of`` writes, run."""
    source = source_of(program, wait, unit)
    name = f"soundness_{program.seed}"
    path = f"/{name}.py"
    module = ModuleType(name)
    module.__file__ = path
    linecache.cache[path] = len(source), None, source.splitlines(keepends=True), path
    sys.modules[name] = module
    exec(compile(source, path, "exec"), module.__dict__)
    return module


def functions_of(module: ModuleType, program: Program) -> dict[str, Callable[[Path], Any]]:
    """Return the functions of *program*'s workers by name."""
    return {f"w{number}": getattr(module, f"w{number}") for number in range(len(program.workers))}
