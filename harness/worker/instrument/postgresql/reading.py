"""Reads statements just far enough to know their effects in PostgreSQL. Pure functions; in doubt the effect is larger.

- A plain query reads committed rows, takes no lock that a writer could meet, and is seen by nobody.
- A writing statement takes locks, and its rows are seen when its transaction commits.
- A statement that changes or locks whole tables keeps readers out too.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

__all__ = ["Effect", "effect"]

_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_LITERALS = re.compile(r"'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$", re.DOTALL)
_CALLED = re.compile(r"([A-Za-z_][\w.]*)\s*\(")
_LOCKS_ROWS = re.compile(r"\bFOR\s+(NO\s+KEY\s+)?(UPDATE|SHARE|KEY\s+SHARE)\b", re.IGNORECASE)

_REAL_TIME = re.compile(r"\b(CURRENT_TIMESTAMP|CURRENT_TIME|CURRENT_DATE|LOCALTIMESTAMP|LOCALTIME|timeofday)\b", re.I)

_TELLS_TIME = re.compile(
    r"\b(now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday|age)\s*\(", re.IGNORECASE
)
_SETS_TIMEOUT = re.compile(r"_timeout|\bset_config\s*\(|\b(RESET|DISCARD)\s+ALL\b|\bSESSION\s+AUTHORIZATION\b", re.I)

_NOTHING = ("BEGIN", "START", "SET", "SHOW", "RESET", "DEALLOCATE", "PREPARE", "SAVEPOINT", "DISCARD", "CLOSE")
_ENDS = ("COMMIT", "END", "ROLLBACK", "ABORT", "RELEASE")
_QUERIES = ("SELECT", "VALUES", "TABLE", "WITH", "FETCH")
_WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE", "NOTIFY")
_HARMLESS = frozenset(
    """
    abs array_agg array_length avg bool_and bool_or btrim cardinality ceil char_length clock_timestamp coalesce concat
    count current_setting date_part date_trunc exists extract floor format greatest in json_agg json_build_object
    jsonb_agg jsonb_build_object json_object_agg least left length lower lpad ltrim make_interval max md5 min mod not now
    nullif pg_backend_pid replace right round row_number row_to_json rpad rtrim sha256 sqrt statement_timestamp string_agg
    substr substring sum to_char to_json to_jsonb to_timestamp transaction_timestamp trim unnest upper values any all some
    and or where on using as select from over filter interval cast encode decode generate_series
    """.split()  # noqa: SIM905 -- a list of so many words is harder to read
)
"""Functions that touch nothing, and words that stand before a bracket."""


class Effect(NamedTuple):
    """The possible effects of a statement.

    ``word`` is its first word; ``nothing``: it accesses nothing shared; ``ends``: it ends a transaction, or a part of
    one; ``reads``: it is a plain query; ``excludes_readers``: it may lock tables against readers. ``serializable``:
    from now on the session may be in a transaction of that level, in which reads matter too; ``real_time``: it asks for
    the time in a way that can't be virtual; ``sets_timeout``: it may set a time-out of the session; ``notifies``: it
    may notify listeners; ``keeps``: it may take a lock that the session keeps when the transaction ends;
    ``tells_time``: it reads the server's clock, which advances the clock.
    """

    word: str
    nothing: bool
    ends: bool
    reads: bool
    excludes_readers: bool
    serializable: bool
    real_time: bool
    sets_timeout: bool
    notifies: bool
    keeps: bool
    tells_time: bool


@lru_cache(maxsize=4096)
def effect(sql: str) -> Effect:
    """Return the possible effects of *sql*; several statements in one text can do anything."""
    bare = _LITERALS.sub("''", _COMMENTS.sub(" ", sql)).strip().rstrip(";").strip()
    found = re.match(r"[A-Za-z]+", bare)
    word = found.group().upper() if found else ""
    capitals = bare.upper()
    rest = (
        "SERIALIZABLE" in sql.upper(),
        _REAL_TIME.search(bare) is not None,
        _SETS_TIMEOUT.search(sql) is not None,
        "NOTIFY" in capitals,
        "ADVISORY" in capitals,
        _TELLS_TIME.search(bare) is not None,
    )
    if ";" in bare:
        return Effect(word, False, False, False, True, *rest)
    if not word:
        return Effect("", True, False, False, False, *rest)
    # A session that listens is told of commits from now on, as if it read.
    reads = word in ("LISTEN", "UNLISTEN") or (
        word in ("SELECT", "VALUES", "TABLE", "WITH", "FETCH") and _only_reads(bare, capitals)
    )
    return Effect(
        word,
        word in _NOTHING,
        word in _ENDS,
        reads,
        not reads and word not in (*_NOTHING, *_ENDS, *_WRITES, *_QUERIES),
        *rest,
    )


def _only_reads(bare: str, capitals: str) -> bool:
    if _LOCKS_ROWS.search(bare) or re.search(r"\b(INSERT|UPDATE|DELETE|MERGE|INTO)\b", capitals):
        return False
    return all(name.lower() in _HARMLESS for name in _CALLED.findall(bare))
