"""Programs over ``sqlite3``: transactions of every kind, held cursors, savepoints, PRAGMAs, a second database."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from benchmarks.soundness.program import Block, Program, Statement

__all__ = ["draw", "draw_impatient"]

_OPTIONS = ("isolation_level=None", "isolation_level=None", "", 'isolation_level="IMMEDIATE"')
_BEGINS = ("BEGIN", "BEGIN", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE")
_ENDS = ("COMMIT", "COMMIT", "COMMIT", "ROLLBACK")


def draw_impatient(random: Random, seed: int) -> Program:
    """Return a program with some connections that wait for no lock."""
    return draw(random, seed, impatient=0.5)


def draw(random: Random, seed: int, *, impatient: float = 0.0) -> Program:
    """Return a program of two workers or three over one database or two.

    The share *impatient* of their connections waits for no lock. Such a one meets the lock that another statement takes and
    lets go by itself, while it runs: inside a statement the harness has no schedule point, so the search can't find that.
    """
    number = random.choices((2, 3), (5, 1))[0]
    second = random.random() < 0.2
    exclusive = random.random() < 0.15
    workers = tuple(
        _Worker(random, which, second, impatient, exclusive).draw(random.randint(2, 4 if number == 2 else 2))
        for which in range(number)
    )
    return Program(
        seed=seed,
        family="impatient" if impatient else "sql",
        setup=tuple(_setup(random, second)),
        workers=workers,
        kills=int(random.random() < 0.15 and number == 2),
    )


def _setup(random: Random, second: bool) -> list[str]:
    mode = random.choice(("delete", "wal", "wal", "truncate", "persist"))
    lines = [f'c.execute("PRAGMA journal_mode = {mode}")']
    lines.append('c.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, n INTEGER UNIQUE)")' if random.random() < 0.2 else
                 'c.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, n INTEGER)")')  # fmt: skip
    lines.append('c.execute("INSERT INTO t VALUES (1, 1), (2, 2)")')
    if random.random() < 0.2:
        lines.append('c.execute("CREATE TABLE log (n)")')
        lines.append('c.execute("CREATE TRIGGER g AFTER UPDATE ON t BEGIN INSERT INTO log VALUES (new.n); END")')
    if second:
        script = f"PRAGMA journal_mode = {mode}; CREATE TABLE u (k INTEGER PRIMARY KEY, n); INSERT INTO u VALUES (1, 1)"
        lines.append(f'e = sqlite3.connect(d / "other.sqlite"); e.executescript("{script}"); e.close()')
    return lines


class _Worker:
    """Draws the statements of one worker, and keeps its state: its connections, its transaction, the values read."""

    def __init__(self, random: Random, number: int, second: bool, impatient: float, exclusive: bool) -> None:
        self._random, self._number, self._second, self._impatient = random, number, second, impatient
        self._exclusive = exclusive
        self._value = 10 * (number + 1)
        self._read = self._cursor = self._saved = self._inside = self._attached = False
        self._body: list[Statement] = []

    def draw(self, most: int) -> tuple[Statement, ...]:
        """Return a worker's statements, some *most* of them."""
        options = self._random.choice(_OPTIONS)
        self._own = "isolation_level=None" in options
        timeout = "0" if self._random.random() < self._impatient else "WAIT"
        self._body.append(f"c = sqlite3.connect(db, timeout={timeout}{', ' if options else ''}{options})")
        if self._second and self._random.random() < 0.7:
            self._body.append("c.execute(\"ATTACH ? AS o\", (str(d / 'other.sqlite'),))")
            self._attached = True
        if self._exclusive and self._random.random() < 0.5:
            self._body.append('c.execute("PRAGMA locking_mode = EXCLUSIVE").fetchone()')
        for _ in range(most):
            self._body += self._next()
        self._body += self._last()
        return tuple(self._body)

    def _new(self) -> int:
        self._value += 1
        return self._value

    def _next(self) -> list[Statement]:
        inside = self._inside
        kinds: dict[Callable[[], list[Statement]], float] = {
            self._reads: 4.0,
            self._writes: 5.0,
            self._begins: 0.3 if inside else 3.0,
            self._ends: 2.0 if inside else 0.2,
            self._holds: 1.5,
            self._saves: 1.0 if inside else 0.2,
            self._asks: 1.0,
            self._changes: 0.6,
            self._with: 0.6,
        }
        (kind,) = self._random.choices(list(kinds), list(kinds.values()))
        return kind()

    def _table(self) -> str:
        return "u" if self._attached and self._random.random() < 0.5 else "t"

    def _one_of(self, lines: list[str]) -> list[Statement]:
        line = self._random.choice(lines).replace("{t}", self._table())
        while "{v}" in line:
            line = line.replace("{v}", str(self._new()), 1)
        return [line]

    def _reads(self) -> list[Statement]:
        if self._random.random() < 0.5:
            self._read = True
            return [f'x = c.execute("SELECT n FROM {self._table()} WHERE k = 1").fetchone()[0]', "x"]
        return self._one_of(_READS)

    def _writes(self) -> list[Statement]:
        if self._read and self._random.random() < 0.6:
            return [f'c.execute("UPDATE {self._table()} SET n = ? WHERE k = 1", (x + 1,)).rowcount']
        return self._one_of(_WRITES)

    def _begins(self) -> list[Statement]:
        if not self._own:
            return self._writes()
        self._inside = True
        return [f'c.execute("{self._random.choice(_BEGINS)}")']

    def _ends(self) -> list[Statement]:
        self._inside = False
        end = self._random.choice(_ENDS)
        return [f'c.execute("{end}")' if self._own and self._random.random() < 0.5 else f"c.{end.lower()}()"]

    def _holds(self) -> list[Statement]:
        """A cursor that is fetched from, used again, closed."""
        if self._cursor:
            return self._one_of(_OF_A_CURSOR)
        self._cursor = True
        return [*self._one_of(_CURSORS), "r.fetchone()"]

    def _saves(self) -> list[Statement]:
        if not self._saved:
            self._saved = True
            return ['c.execute("SAVEPOINT s")']
        return [f'c.execute("{self._random.choice(("RELEASE s", "ROLLBACK TO s"))}")']

    def _asks(self) -> list[Statement]:
        return self._one_of(_QUESTIONS)

    def _changes(self) -> list[Statement]:
        if not self._exclusive:
            return self._one_of(_CHANGES)
        # A lock that is never let go shows what an attempt in vain had read before: to the search that is no event.
        return self._one_of([line for line in _CHANGES if "checkpoint" not in line])

    def _with(self) -> list[Statement]:
        reads = self._reads() if self._random.random() < 0.5 else []
        return [Block("with", "c", ((*reads, *self._writes()),))]

    def _last(self) -> list[Statement]:
        if self._inside and self._random.random() < 0.8:
            return [*self._ends(), *(["c.close()"] if self._random.random() < 0.5 else [])]
        return [self._random.choice(("c.close()", "c.commit()", "c.in_transaction"))]


_READS = """
c.execute("SELECT k, n FROM {t} ORDER BY k").fetchall()
c.execute("SELECT count(*), sum(n) FROM {t}").fetchone()
list(c.execute("SELECT n FROM {t} WHERE k > 1"))
c.execute("SELECT n FROM {t} WHERE k = 1").fetchmany(5)
[line for line in c.iterdump() if "INSERT" in line]
""".strip().splitlines()

_WRITES = """
c.execute("UPDATE {t} SET n = n + {v} WHERE k = 1").rowcount
c.execute("UPDATE {t} SET n = {v} WHERE k = 2").rowcount
c.execute("INSERT INTO {t} VALUES (3, {v})").lastrowid
c.execute("INSERT INTO {t} (n) VALUES ({v})").lastrowid
c.execute("INSERT OR IGNORE INTO {t} VALUES (3, {v})").rowcount
c.execute("INSERT OR REPLACE INTO {t} VALUES (2, {v})").rowcount
c.execute("DELETE FROM {t} WHERE k = 2").rowcount
c.execute("UPDATE {t} SET n = n + 1 WHERE k = 7").rowcount
c.execute("UPDATE {t} SET n = n + 100 WHERE k = 1 RETURNING n").fetchall()
c.executemany("UPDATE {t} SET n = ? WHERE k = ?", [({v}, 1), ({v}, 2)]).rowcount
c.executescript("UPDATE {t} SET n = {v} WHERE k = 1; UPDATE {t} SET n = n + 1 WHERE k = 2;")
c.execute("INSERT INTO {t} SELECT max(k) + 1, max(n) + 1 FROM {t}").rowcount
""".strip().splitlines()

_CURSORS = """
r = c.execute("SELECT k, n FROM t ORDER BY k")
r = c.cursor()
""".strip().splitlines()

_OF_A_CURSOR = """
r.fetchone()
r.fetchall()
r.close()
del r
next(r, None)
r.execute("SELECT n FROM t WHERE k = 2")
r.execute("UPDATE t SET n = {v} WHERE k = 2").rowcount
c.commit()
""".strip().splitlines()

_QUESTIONS = """
c.in_transaction
c.total_changes
c.execute("PRAGMA user_version").fetchone()
c.execute("PRAGMA journal_mode").fetchone()
c.execute("PRAGMA table_info(t)").fetchall()
c.execute("PRAGMA integrity_check").fetchall()
c.execute("PRAGMA page_count").fetchone()
c.execute("SELECT name FROM sqlite_master ORDER BY name").fetchall()
c.execute("PRAGMA query_only = 1")
c.execute("PRAGMA cache_size").fetchone()
c.execute("SELECT changes()").fetchone()
""".strip().splitlines()

_CHANGES = """
c.execute("PRAGMA user_version = {v}")
c.execute("CREATE TABLE IF NOT EXISTS v (x)")
c.execute("INSERT INTO v VALUES ({v})").rowcount
c.execute("DROP TABLE IF EXISTS v")
c.execute("CREATE TABLE v (x)")
c.execute("PRAGMA wal_checkpoint").fetchone()[0]
c.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
c.execute("VACUUM")
c.execute("PRAGMA journal_mode = wal").fetchone()
c.execute("PRAGMA journal_mode = delete").fetchone()
c.execute("CREATE INDEX IF NOT EXISTS i ON t (n)")
c.execute("ALTER TABLE t ADD COLUMN z")
b = sqlite3.connect(d / "copy.sqlite"); c.backup(b); b.close()
c.execute("VACUUM INTO ?", (str(d / "copy.sqlite"),))
c.execute("CREATE TEMP TABLE w AS SELECT n FROM t")
c.execute("REINDEX")
c.execute("ANALYZE")
""".strip().splitlines()
