"""Reads histories that were recorded elsewhere: Jepsen's log lines, and EDN maps of a key-value store, one a line.

The formats are those of the test data of anishathalye/porcupine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

from harness.checks.operations import UNKNOWN, Operation
from harness.errors import BadInput

__all__ = ["read_jepsen_log", "read_kv"]

_JEPSEN = re.compile(r"INFO\s+jepsen\.util\s+-\s+(\d+)\s+:(\w+)\s+:(\w+)\s+(.*?)\s*")
_KV = re.compile(r'\{:process (\d+), :type :(\w+), :f :(\w+), :key "([^"]*)", :value (nil|"[^"]*")\}\s*')
_PAIR = re.compile(r"\[(-?\d+) (-?\d+)\]")
_FAILED_CAS = "cas"


class _Line(NamedTuple):
    number: int
    process: str
    event: str
    name: str
    arguments: tuple[object, ...]
    value: object


def read_jepsen_log(path: Path) -> list[Operation]:
    """Return the operations (``read``, ``write``, ``cas``) on one register that the Jepsen log at *path* records.

    A write that failed did not happen and is left out. A ``cas`` has the result True if it succeeded and False if it
    failed. Raises ``BadInput`` if *path* can't be read or a line of an operation can't be parsed.
    """
    return list(_operations(path, _jepsen_lines(path)))


def read_kv(path: Path) -> list[Operation]:
    """Return the operations (``get``, ``put``, ``append``, each with its key) that the file of EDN lines at *path* records.

    Raises ``BadInput`` if *path* can't be read or a line can't be parsed.
    """
    return list(_operations(path, _kv_lines(path)))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"The history {str(path)!r} can't be read: {error}. Is it a text file that you may read?"
        ) from None


def _wrong(path: Path, number: int, line: str) -> NoReturn:
    raise BadInput(
        f"Line {number} of {str(path)!r} can't be understood: {line[:120]!r}. "
        "Is the file of another format, or was it cut short?"
    )


def _jepsen_lines(path: Path) -> Iterator[_Line]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip() or ":nemesis" in line:
            continue
        found = _JEPSEN.fullmatch(line)
        if found is None:
            _wrong(path, number, line)
        process, event, name, text = found.groups()
        pair = _PAIR.fullmatch(text)
        if pair is not None:
            yield _Line(number, process, event, name, (int(pair[1]), int(pair[2])), True)
        elif re.fullmatch(r"-?\d+", text):
            yield _Line(number, process, event, name, (int(text),) if name == "write" else (), int(text))
        elif text == "nil" or text.startswith(":"):
            yield _Line(number, process, event, name, (), None)
        else:
            _wrong(path, number, line)


def _kv_lines(path: Path) -> Iterator[_Line]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        found = _KV.fullmatch(line)
        if found is None:
            _wrong(path, number, line)
        process, event, name, key, quoted = found.groups()
        value = None if quoted == "nil" else quoted[1:-1]
        yield _Line(number, process, event, name, (key,) if name == "get" else (key, value), value)


def _operations(path: Path, lines: Iterable[_Line]) -> Iterator[Operation]:
    """Yield the operations in *lines*: an invocation without an end, or with the end ``info``, is an open operation.

    Raises ``BadInput`` for lines that do not fit together. An operation that failed is left out, unless it is a ``cas``.
    """
    begun: dict[str, tuple[int, _Line]] = {}
    for at, line in enumerate(lines):
        if line.event == "invoke":
            if line.process in begun:
                _wrong(path, line.number, f"process {line.process} invokes twice")
            begun[line.process] = at, line
            continue
        if line.event not in ("ok", "fail", "info") or line.process not in begun:
            _wrong(path, line.number, f"process {line.process} ends what it did not begin, or with :{line.event}")
        invoked, first = begun.pop(line.process)
        if line.event == "info":
            yield _open(invoked, first)
        elif line.event == "ok":
            result = line.value if first.name in ("read", "get") else True
            yield Operation(line.process, first.name, first.arguments, result, invoked, at)
        elif first.name == _FAILED_CAS:
            yield Operation(line.process, first.name, first.arguments, False, invoked, at)
    for invoked, first in begun.values():
        yield _open(invoked, first)


def _open(invoked: int, first: _Line) -> Operation:
    return Operation(first.process, first.name, first.arguments, UNKNOWN, invoked, None)
