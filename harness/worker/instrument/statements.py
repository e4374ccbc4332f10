"""Reads just enough of a statement to know how ``sqlite3`` and the locks will treat it. Pure functions."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from harness.worker.directory import without_directory

__all__ = ["Statement", "parts", "shown", "statement"]

_COMMENTS = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?(?:\*/|$))*", re.DOTALL)
_BUSY = re.compile(r"pragma\s+(?:\w+\s*\.\s*)?busy_timeout\s*[=(]", re.IGNORECASE)
_DML = ("INSERT", "UPDATE", "DELETE", "REPLACE")
_READS = ("SELECT", "VALUES", "EXPLAIN", "PRAGMA", "BEGIN", "SAVEPOINT", "RELEASE", "COMMIT", "END", "ROLLBACK")
_SHOWN = 300


def keyword(sql: str) -> str:
    """Return the first word of *sql* in capitals, past blanks and comments."""
    start = _COMMENTS.match(sql)
    word = re.match(r"[A-Za-z]+", sql[start.end() if start else 0 :])
    return word.group().upper() if word else ""


class Statement(NamedTuple):
    """What a statement is to ``sqlite3`` and to the locks.

    ``dml``: ``sqlite3`` opens a transaction by itself before it. ``reading``: it surely changes no data itself (a query, a
    PRAGMA that only asks, a transaction's begin or end). ``silent``: it touches no lock as long as it leaves the
    transaction state as it was. ``excludes_readers``: it begins a transaction that keeps readers out at once.
    ``rollback``: it undoes the transaction (and not only back to a savepoint). ``attach``: it adds a database file.
    ``busy_timeout``: it replaces the busy handler. ``locks``: it begins a transaction by taking a lock.
    ``commits``: it ends one.
    """

    dml: bool
    reading: bool
    silent: bool
    excludes_readers: bool
    rollback: bool
    attach: bool
    busy_timeout: bool
    locks: bool
    commits: bool

    @property
    def special(self) -> bool:
        """Whether it changes the connection itself."""
        return self.attach or self.busy_timeout


@lru_cache(maxsize=4096)
def statement(sql: str) -> Statement:
    """Return what *sql* is."""
    word = keyword(sql)
    capitals = " ".join(sql.upper().split()) if word in ("BEGIN", "ROLLBACK") else ""
    return Statement(
        dml=word in _DML,
        reading=word in _READS and not (word == "PRAGMA" and ("=" in sql or "(" in sql)),
        silent=word in ("BEGIN", "SAVEPOINT", "RELEASE"),
        excludes_readers=word == "BEGIN" and "EXCLUSIVE" in capitals,
        rollback=word == "ROLLBACK" and " TO " not in f"{capitals} ",
        attach=word in ("ATTACH", "DETACH"),
        busy_timeout=_BUSY.search(sql) is not None,
        locks=word == "BEGIN" and ("EXCLUSIVE" in capitals or "IMMEDIATE" in capitals),
        commits=word in ("COMMIT", "END"),
    )


def parts(script: str) -> Iterator[str]:
    """Yield the statements of *script*, each with its semicolon."""
    text = ""
    for piece in re.split(r"(?<=;)", script):
        text += piece
        if sqlite3.complete_statement(text):
            yield text.strip()
            text = ""
    if _COMMENTS.fullmatch(text) is None:
        yield text.strip()


def shown(parameters: Any) -> str:
    """Return *parameters* as text, shortened; empty for none."""
    if not parameters:
        return ""
    try:
        text = repr(parameters)
    except Exception:
        text = f"<{type(parameters).__name__}>"
    text = re.sub(r" at 0x[0-9a-f]+", "", text) if " at 0x" in text else text
    text = without_directory(text)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
