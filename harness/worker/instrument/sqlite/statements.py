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
_READS = ("SELECT", "VALUES", "EXPLAIN", "BEGIN", "SAVEPOINT", "RELEASE", "COMMIT", "END", "ROLLBACK")
_PRAGMA = re.compile(r"pragma\s+(?:[\w\"'`\[\]]+\s*\.\s*)?(\w+)\s*([=(]?)", re.IGNORECASE)
_ASKING = frozenset(
    (
        "collation_list", "compile_options", "data_version", "database_list", "foreign_key_check", "foreign_key_list",
        "freelist_count", "function_list", "index_info", "index_list", "index_xinfo", "integrity_check", "lock_status",
        "module_list", "page_count", "pragma_list", "quick_check", "stats", "table_info", "table_list", "table_xinfo",
    )
)  # fmt: skip
"""What only asks, whatever is given it."""
_OF_CONNECTION = frozenset(
    (
        "analysis_limit", "automatic_index", "busy_timeout", "case_sensitive_like", "cell_size_check",
        "checkpoint_fullfsync", "count_changes", "defer_foreign_keys", "empty_result_callbacks", "foreign_keys",
        "full_column_names", "fullfsync", "hard_heap_limit", "ignore_check_constraints", "legacy_alter_table",
        "query_only", "read_uncommitted", "recursive_triggers", "reverse_unordered_selects", "short_column_names",
        "soft_heap_limit", "threads", "trusted_schema", "writable_schema",
    )
)  # fmt: skip
"""What asks or sets something of the connection, and looks at no file."""
_SETTING = frozenset(
    (
        "cache_size", "cache_spill", "default_cache_size", "journal_size_limit", "locking_mode", "max_page_count",
        "mmap_size", "secure_delete", "shrink_memory", "synchronous", "temp_store", "temp_store_directory",
        "wal_autocheckpoint",
    )
)  # fmt: skip
"""What sets something of the connection, and may look at the file for it."""
_CHANGING = frozenset(("incremental_vacuum", "optimize", "wal_checkpoint"))
"""What changes files even where nothing is given it."""
_TOKENS = re.compile(
    r"""--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|[A-Za-z_]\w*|[()]""", re.DOTALL
)
_SHOWN = 300


def keyword(sql: str) -> str:
    """Return the first word of *sql* in capitals, past blanks and comments."""
    start = _COMMENTS.match(sql)
    word = re.match(r"[A-Za-z]+", sql[start.end() if start else 0 :])
    return word.group().upper() if word else ""


def pragma(sql: str) -> tuple[str, bool]:
    """Return the name of the PRAGMA in *sql*, in small letters, and whether it is given a value."""
    start = _COMMENTS.match(sql)
    found = _PRAGMA.match(sql, start.end() if start else 0)
    return (found[1].lower(), bool(found[2])) if found else ("", True)


def _reads(sql: str, word: str) -> bool:
    """Return whether *sql*, which begins with *word*, surely changes no data itself."""
    if word == "PRAGMA":
        name, given = pragma(sql)
        if name in _ASKING or name in _OF_CONNECTION or name in _SETTING:
            return True
        return not given and name not in _CHANGING
    return (_after_with(sql) if word == "WITH" else word) in _READS


def _after_with(sql: str) -> str:
    """Return the keyword of the statement that follows common table expressions."""
    depth = 0
    for found in _TOKENS.finditer(sql):
        token = found[0].upper()
        depth += (token == "(") - (token == ")")
        if not depth and token in (*_DML, "SELECT", "VALUES"):
            return token
    return ""


class Statement(NamedTuple):
    """The properties of a statement that matter to ``sqlite3`` and to the locks.

    ``dml``: ``sqlite3`` opens a transaction by itself before it. ``reading``: it surely changes no data itself (a query, a
    PRAGMA that only asks, a transaction's begin or end). ``silent``: it touches no lock as long as it leaves the
    transaction state as it was. ``excludes_readers``: it begins a transaction that keeps readers out at once.
    ``rollback``: it undoes the transaction (and not only back to a savepoint). ``attach``: it adds a database file.
    ``busy_timeout``: it replaces the busy handler. ``locking_mode``: it may have locks kept between transactions.
    ``locks``: it begins a transaction by taking a lock.
    ``commits``: it ends one. ``schema``: it may change what tables there are.
    ``checkpoints``: while it waits it may hold locks that the transaction's state does not tell of, as a checkpoint's.
    ``checkpoint``: it is told at once, without waiting, if another connection is at a checkpoint.
    ``journal_mode``: if it changes the journal mode it is refused at once, without waiting, where it meets a lock.
    """

    dml: bool
    reading: bool
    silent: bool
    excludes_readers: bool
    rollback: bool
    attach: bool
    busy_timeout: bool
    locking_mode: bool
    locks: bool
    commits: bool
    schema: bool
    checkpoints: bool
    checkpoint: bool
    journal_mode: bool

    @property
    def special(self) -> bool:
        """Whether it changes the connection itself."""
        return self.attach or self.busy_timeout or self.locking_mode


@lru_cache(maxsize=4096)
def statement(sql: str) -> Statement:
    """Return the properties of *sql*."""
    word = keyword(sql)
    reading = _reads(sql, word)
    capitals = " ".join(sql.upper().split()) if word in ("BEGIN", "ROLLBACK") else ""
    return Statement(
        dml=word in _DML,
        reading=reading,
        silent=word in ("BEGIN", "SAVEPOINT", "RELEASE") or (word == "PRAGMA" and pragma(sql)[0] in _OF_CONNECTION),
        excludes_readers=word == "BEGIN" and "EXCLUSIVE" in capitals,
        rollback=word == "ROLLBACK" and " TO " not in f"{capitals} ",
        attach=word in ("ATTACH", "DETACH"),
        busy_timeout=_BUSY.search(sql) is not None,
        locking_mode=word == "PRAGMA" and pragma(sql)[0] == "locking_mode",
        locks=word == "BEGIN" and ("EXCLUSIVE" in capitals or "IMMEDIATE" in capitals),
        commits=word in ("COMMIT", "END"),
        schema=not reading and ((_after_with(sql) if word == "WITH" else word) not in _DML or "sqlite_" in sql.lower()),
        checkpoints=word == "PRAGMA" and not reading,
        checkpoint=word == "PRAGMA" and pragma(sql)[0] == "wal_checkpoint",
        journal_mode=word == "PRAGMA" and not reading and pragma(sql)[0] == "journal_mode",
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
