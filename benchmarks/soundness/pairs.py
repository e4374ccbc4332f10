"""Every two of a list of short programs, over SQLite in both journal modes, and over files.

Random programs seldom meet in the one way that matters, and where both have many statements brute force does not come to its
end. These are short enough for that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations_with_replacement

from benchmarks.soundness.program import Program

__all__ = ["pairs"]

_READ, _WRITE = "SELECT n FROM t WHERE k = 1", "UPDATE t SET n = n * 2 + 1 WHERE k = 1"
_OTHER = "UPDATE t SET n = n + 5 WHERE k = 2"


def _sql(*statements: str, level: str = "None", timeout: str = "WAIT") -> tuple[str, ...]:
    connect = f"c = sqlite3.connect(db, timeout={timeout}, isolation_level={level})"
    return connect, *(each if "(" in each[:12] else f"told(c.execute({each!r}).fetchall())" for each in statements)


_KEEPS = "PRAGMA locking_mode = EXCLUSIVE"
_SCRIPT = f"c.executescript({f'BEGIN; {_WRITE}; COMMIT; {_OTHER}'!r})"
_MANY = 'told(c.executemany("UPDATE t SET n = n + ? WHERE k = ?", [(10, 1), (10, 2)]).rowcount)'
_ATTACH = 'c.execute("ATTACH ? AS o", (str(d / "other.sqlite"),))'

OF_SQL: Mapping[str, tuple[str, ...]] = {
    "writes": _sql(_WRITE),
    "writes-twice": _sql(_WRITE, _OTHER),
    "reads": _sql(_READ),
    "reads-twice": _sql(_READ, _READ),
    "deferred": _sql("BEGIN", _READ, _WRITE, "COMMIT"),
    "immediate": _sql("BEGIN IMMEDIATE", _WRITE, "COMMIT"),
    "exclusive": _sql("BEGIN EXCLUSIVE", _READ, "COMMIT"),
    "exclusive-writes": _sql("BEGIN EXCLUSIVE", _WRITE, "COMMIT"),
    "snapshot": _sql("BEGIN", _READ, _READ, "COMMIT"),
    "open-cursor": _sql('r = c.execute("SELECT n FROM t")', "told(r.fetchone())", _OTHER),
    "savepoint": _sql("SAVEPOINT s", _WRITE, "RELEASE s"),
    "savepoint-undone": _sql("SAVEPOINT s", _READ, _WRITE, "ROLLBACK TO s", _OTHER, "RELEASE s"),
    "vacuum": _sql("VACUUM"),
    "to-truncate": _sql("PRAGMA journal_mode = truncate"),
    "to-wal": _sql("PRAGMA journal_mode = wal"),
    "makes-a-table": _sql("CREATE TABLE u (n)"),
    "drops-the-table": _sql("DROP TABLE t"),
    "undoes": _sql("BEGIN", _WRITE, "ROLLBACK"),
    "implicit": _sql(_WRITE, _OTHER, "c.commit()", level="''"),
    "implicit-lost": _sql(_WRITE, "c.close()", level="''"),
    "implicit-new-table": _sql("INSERT INTO u VALUES (1)", "c.commit()", level="''"),
    "returning": _sql(f'r = c.execute("{_OTHER} RETURNING n")', "told(r.fetchone())", "c.commit()", level="''"),
    "executemany": _sql(_MANY),
    "executescript": _sql(_SCRIPT),
    "second-connection": _sql(
        "BEGIN", _WRITE, "e = sqlite3.connect(db)", f"told(e.execute({_READ!r}).fetchall())", "e.close()", "COMMIT"
    ),
    "keeps-locks": _sql(_KEEPS, _WRITE, _READ),
    "keeps-locks-reads": _sql(_KEEPS, "BEGIN", _READ, _OTHER, "COMMIT"),
    "checkpoint": _sql(_WRITE, "PRAGMA wal_checkpoint(TRUNCATE)"),
    "checkpoint-only": _sql("PRAGMA wal_checkpoint(RESTART)"),
    "two-files": _sql(_ATTACH, "BEGIN", _WRITE, "UPDATE o.t SET n = n + 7", "COMMIT"),
    "other-file": _sql(_ATTACH, "UPDATE o.t SET n = n + 3", "SELECT n FROM o.t"),
    "deferred-now": _sql("BEGIN", _READ, _WRITE, "COMMIT", timeout="0"),
    "immediate-now": _sql("BEGIN IMMEDIATE", _WRITE, "COMMIT", timeout="0"),
    "user-version": _sql("PRAGMA user_version", "PRAGMA user_version = 7"),
    "analyze": _sql("ANALYZE"),
    "temporary": _sql("CREATE TEMP TABLE z AS SELECT * FROM t", _WRITE),
}

_LOCKED = (
    'f = open(d / "a", "r+")',
    "{lock}",
    "x = f.read()",
    "f.seek(0)",
    'f.write(x + "!")',
    "f.close()",
)

OF_FILES: Mapping[str, tuple[str, ...]] = {
    "reads": ('told((d / "a").read_text())',),
    "reads-two": ('told((d / "a").read_text())', 'told((d / "b").read_text())'),
    "writes": ('(d / "a").write_text("W")',),
    "appends": ('f = open(d / "a", "a")', 'f.write("+")', "f.close()"),
    "cuts": ('f = open(d / "a", "r+")', "f.truncate(1)", "f.close()"),
    "exclusive": ('f = open(d / "new", "x")', 'f.write("x")', "f.close()"),
    "removes": ('os.unlink(d / "a")',),
    "renames": ('os.rename(d / "a", d / "z")',),
    "replaces": ('(d / "tmp").write_text("tmp")', 'os.replace(d / "tmp", d / "a")'),
    "links": ('os.link(d / "a", d / "k")',),
    "by-other-name": ('(d / "h").write_text("H")',),
    "counts-names": ('told(os.stat(d / "b").st_nlink)',),
    "removes-a-name": ('os.unlink(d / "h")',),
    "by-symlink": ('told((d / "l").read_text())',),
    "changes-symlink": ('os.unlink(d / "l")', 'os.symlink("b", d / "l")'),
    "lists": ("told(sorted(os.listdir(d)))",),
    "scans": ('told(sorted(e.name for e in os.scandir(d / "sub")))',),
    "asks": ('told((d / "new").exists())', 'told((d / "a").exists())'),
    "asks-the-size": ('told(os.stat(d / "a").st_size)',),
    "asks-the-mode": ('told(os.stat(d / "a").st_mode)',),
    "changes-the-mode": ('os.chmod(d / "a", 0o600)',),
    "makes-a-directory": ('os.mkdir(d / "new")',),
    "removes-a-directory": ('os.rmdir(d / "empty")',),
    "fills-a-directory": ('(d / "empty" / "n").write_text("n")',),
    "removes-a-tree": ('shutil.rmtree(d / "sub")',),
    "moves-a-tree": ('os.rename(d / "sub", d / "moved")',),
    "reads-in-a-tree": ('told((d / "sub" / "c").read_text())',),
    "copies": ('shutil.copyfile(d / "a", d / "copy")',),
    "locks": tuple(each.replace("{lock}", "fcntl.flock(f, fcntl.LOCK_EX)") for each in _LOCKED),
    "locks-now": tuple(each.replace("{lock}", "fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)") for each in _LOCKED),
    "locks-a-record": tuple(each.replace("{lock}", "fcntl.lockf(f, fcntl.LOCK_EX)") for each in _LOCKED),
}

_FILES = (
    '(d / "a").write_text("one")',
    '(d / "b").write_text("two")',
    '(d / "sub").mkdir()',
    '(d / "sub" / "c").write_text("three")',
    '(d / "empty").mkdir()',
    'os.link(d / "b", d / "h")',
    'os.symlink("a", d / "l")',
)


def _tables(mode: str) -> tuple[str, ...]:
    made: list[str] = []
    for path in ("db", 'd / "other.sqlite"'):
        made += [
            f"c = sqlite3.connect({path}, isolation_level=None)",
            f'c.execute("PRAGMA journal_mode = {mode}")',
            'c.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, n INTEGER)")',
            'c.execute("INSERT INTO t VALUES (1, 1), (2, 2)")',
            "c.close()",
        ]
    return tuple(made)


def pairs(only: Sequence[str] = ()) -> Iterator[tuple[str, Program]]:
    """Yield every pair by name, of the families *only* (``sql``, ``files``), of both for none."""
    kinds = [("sql", mode, _tables(mode), OF_SQL) for mode in ("delete", "wal")]
    kinds.append(("files", "", _FILES, OF_FILES))
    for family, mode, setup, programs in kinds:
        if only and family not in only:
            continue
        for first, second in combinations_with_replacement(programs, 2):
            name = "+".join(part for part in (mode, first, second) if part)
            workers = (programs[first], programs[second])
            yield name, Program(seed=0, family=family, workers=workers, setup=setup)
