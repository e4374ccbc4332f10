"""Reads just enough of a statement to know how ``sqlite3`` and the locks will treat it. Pure functions."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

__all__ = [
    "excludes_readers",
    "is_attach",
    "is_dml",
    "is_reading",
    "is_rollback",
    "is_silent",
    "parts",
    "sets_busy_timeout",
    "shown",
]

_COMMENTS = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?(?:\*/|$))*", re.DOTALL)
_BUSY = re.compile(r"pragma\s+(?:\w+\s*\.\s*)?busy_timeout\s*[=(]", re.IGNORECASE)
_DML = ("INSERT", "UPDATE", "DELETE", "REPLACE")
_READS = ("SELECT", "VALUES", "EXPLAIN", "PRAGMA", "BEGIN", "SAVEPOINT", "RELEASE", "COMMIT", "END", "ROLLBACK")
_SHOWN = 300


@lru_cache(maxsize=4096)
def keyword(sql: str) -> str:
    """Return the first word of *sql* in capitals, past blanks and comments."""
    start = _COMMENTS.match(sql)
    word = re.match(r"[A-Za-z]+", sql[start.end() if start else 0 :])
    return word.group().upper() if word else ""


def is_dml(sql: str) -> bool:
    """Return whether ``sqlite3`` opens a transaction by itself before *sql* (INSERT, UPDATE, DELETE, REPLACE)."""
    return keyword(sql) in _DML


@lru_cache(maxsize=4096)
def is_reading(sql: str) -> bool:
    """Return whether *sql* surely changes no data itself: a query, a PRAGMA that only asks, a transaction's begin or end."""
    word = keyword(sql)
    return word in _READS and not (word == "PRAGMA" and ("=" in sql or "(" in sql))


def is_silent(sql: str) -> bool:
    """Return whether *sql* touches no lock as long as it leaves the transaction state as it was."""
    return keyword(sql) in ("BEGIN", "SAVEPOINT", "RELEASE")


@lru_cache(maxsize=4096)
def excludes_readers(sql: str) -> bool:
    """Return whether *sql* begins a transaction that keeps readers out at once."""
    return keyword(sql) == "BEGIN" and "EXCLUSIVE" in sql.upper()


def is_rollback(sql: str) -> bool:
    """Return whether *sql* ends the transaction by undoing it (and not only back to a savepoint)."""
    return keyword(sql) == "ROLLBACK" and " TO " not in f" {' '.join(sql.upper().split())} "


def is_attach(sql: str) -> bool:
    """Return whether *sql* adds another database file to the connection."""
    return keyword(sql) == "ATTACH"


@lru_cache(maxsize=4096)
def sets_busy_timeout(sql: str) -> bool:
    """Return whether *sql* replaces the connection's busy handler."""
    return _BUSY.search(sql) is not None


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
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
