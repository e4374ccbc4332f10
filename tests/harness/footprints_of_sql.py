"""Programs over SQLite whose footprint is not a statement's alone: connections, copies, several files, SQLite's own files."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any

from tests.harness.footprint_programs import Racy, connected, look, plain, sql, table

__all__ = ["RACY"]

SETS = "UPDATE t SET n = 1"
READS = "SELECT n FROM t ORDER BY k"


def saves(db: Path) -> Any:
    """Copy a database into memory, and read the copy."""
    with connected(db) as source, closing(sqlite3.connect(":memory:")) as copy:
        source.backup(copy)
        return copy.execute(READS).fetchone()[0]


def saves_by_pages(db: Path) -> int:
    """Copy page by page; return how many steps it took, which are more where it begins again."""
    steps: list[int] = []
    with connected(db) as source, closing(sqlite3.connect(":memory:")) as copy:
        source.backup(copy, pages=1, progress=lambda *progress: steps.append(progress[1]))
    return len(steps)


def saves_elsewhere(db: Path) -> None:
    """Copy page by page over another database, which is locked meanwhile."""
    with connected(db) as source, connected(db.with_name("b.db")) as target:
        source.backup(target, pages=1)


def serializes(db: Path) -> Any:
    """Copy a database as bytes, and read the copy."""
    with connected(db) as source:
        data = source.serialize()
    with closing(sqlite3.connect(":memory:")) as copy:
        copy.deserialize(data)
        return copy.execute(READS).fetchone()[0]


def reads_twice(name: str) -> Any:
    """Read with one cursor twice, without reading to the end the first time."""

    def run(db: Path) -> bool:
        with connected(db.with_name(name)) as connection:
            cursor = connection.cursor()
            first = cursor.execute(READS).fetchone()
            return bool(first == cursor.execute(READS).fetchone())

    return run


def two_logs(db: Path) -> None:
    """Make two databases whose readers keep no writer waiting."""
    table(db, "wal")
    table(db.with_name("b.db"), "wal")


def reads_both(db: Path) -> tuple[Any, Any]:
    """Read two files in one transaction; of the second a snapshot is taken when it is first read."""
    with connected(db) as connection:
        connection.execute("ATTACH ? AS b", (str(db.with_name("b.db")),))
        connection.execute("BEGIN")
        main = connection.execute("SELECT n FROM main.t").fetchall()[0][0]
        other = connection.execute("SELECT n FROM b.t").fetchall()[0][0]
        connection.execute("COMMIT")
        return main, other


def writes_both(db: Path) -> None:
    """Write one file, then the other."""
    for name in ("db.sqlite", "b.db"):
        sql(name, SETS)(db)


def replaces(db: Path) -> None:
    """Put another database in the place of one."""
    sql("new.db", "CREATE TABLE t AS SELECT 1 AS k, 7 AS n")(db)
    os.replace(db.with_name("new.db"), db.with_name("b.db"))


def looks_then_reads(db: Path) -> tuple[int, Any]:
    """Look at a database file, then open it: it may be another one by then."""
    inode = db.with_name("b.db").stat().st_ino
    found = sql("b.db", READS)(db)
    return inode == db.with_name("b.db").stat().st_ino, found


def writes_and_says_where(db: Path) -> Any:
    """Write to a database, and say whether what is at its path has it."""
    sql("b.db", SETS)(db)
    return sql("b.db", READS)(db)


def opens_only(db: Path) -> None:
    """Open a database that is not there yet."""
    sqlite3.connect(db.with_name("new.db")).close()


def copies_the_file(db: Path) -> tuple[Any, Any]:
    """Read a database, then a copy of its main file."""
    acknowledged = sql("wal.db", READS)(db)
    (db.parent / "copy.db").write_bytes(db.with_name("wal.db").read_bytes())
    return acknowledged, sql("copy.db", READS)(db)


def writes_and_waits(db: Path) -> None:
    """Write, and keep the connection for a while."""
    with connected(db.with_name("wal.db")) as connection:
        connection.execute(SETS)
        look(db)


def keeps(name: str, statement: str) -> Any:
    """Return what runs *statement* under locks that are kept until it is closed."""

    def run(db: Path) -> None:
        with connected(db.with_name(name)) as connection:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute(statement).fetchall()
            look(db)

    return run


def renames(db: Path) -> None:
    """Give a database another name, and write it there."""
    os.rename(db.with_name("b.db"), db.with_name("c.db"))
    sql("c.db", SETS)(db)


def reads_on(db: Path) -> Any:
    """Read three times with one connection."""
    return sql("b.db", READS, "PRAGMA user_version", READS)(db)


def in_memory(uri: str, **options: Any) -> Any:
    """Return what counts in two threads over a database in memory."""

    def run(_: Path) -> int:
        keeper = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        keeper.execute("CREATE TABLE t (n)")
        keeper.execute("INSERT INTO t VALUES (0)")

        def bump() -> None:
            mine = sqlite3.connect(uri, uri=True, isolation_level=None) if options else keeper
            number = mine.execute("SELECT n FROM t").fetchall()[0][0]
            mine.execute("UPDATE t SET n = ?", (number + 1,))

        threads = [Thread(target=bump) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with closing(keeper):
            return int(keeper.execute("SELECT n FROM t").fetchone()[0])

    return run


def dumps(db: Path) -> str:
    """Return a dump as one text."""
    with connected(db.with_name("wal.db")) as connection:
        return "".join(connection.iterdump())


def lists(db: Path) -> list[str]:
    """Return the names of SQLite's own files."""
    return sorted(name for name in os.listdir(db.parent) if name.endswith(("-wal", "-journal")))


def there(name: str) -> Any:
    """Return what says whether *name* is there."""
    return lambda db: os.path.exists(db.parent / name)


NOTHING = look
ASKS = {"timeout": 0}

RACY = {
    "backup": Racy(plain, saves, sql("db.sqlite", SETS), lambda one, _: one == 1),
    "backup by pages": Racy(plain, saves_by_pages, sql("db.sqlite", SETS), lambda one, _: one > 2),
    "backup over a database": Racy(
        plain, saves_elsewhere, sql("b.db", READS, **ASKS), lambda _, two: two == "database is locked"
    ),
    "serialize": Racy(plain, serializes, sql("db.sqlite", SETS), lambda one, _: one == 1),
    "dump": Racy(plain, dumps, sql("wal.db", SETS), lambda one, _: "(1,1)" in one),
    "one cursor twice": Racy(plain, reads_twice("wal.db"), sql("wal.db", SETS), lambda one, _: not one),
    "snapshots of two files": Racy(two_logs, reads_both, writes_both, lambda one, _: one == [0, 1]),
    "insert of what another file has": Racy(
        plain,
        sql(
            "db.sqlite",
            "ATTACH ':here:/b.db' AS b",
            "INSERT INTO t SELECT 3, n FROM b.t LIMIT 1",
            "SELECT n FROM t WHERE k = 3",
        ),
        sql("b.db", SETS),
        lambda one, _: one == 1,
    ),
    "killed with an attached file locked": Racy(
        plain,
        sql("db.sqlite", "ATTACH ':here:/b.db' AS b", "BEGIN", "UPDATE b.t SET n = n + 1", "COMMIT"),
        sql("b.db", "BEGIN IMMEDIATE", "COMMIT", **ASKS),
        lambda one, two: (one, two) == ("info", "database is locked"),
        kills=True,
    ),
    "looked at, then opened": Racy(plain, looks_then_reads, replaces, lambda one, _: one[1] == 7 and one[0]),
    "opened, then replaced": Racy(plain, writes_and_says_where, replaces, lambda one, _: one == 7),
    "removed while open": Racy(
        plain, lambda db: os.remove(db.with_name("b.db")), reads_on, lambda _, two: two == 0
    ),
    "made by connect": Racy(plain, opens_only, there("new.db"), lambda _, two: two),
    "not yet made by connect": Racy(plain, there("new.db"), opens_only, lambda one, _: not one),
    "made by attach": Racy(
        plain, sql("db.sqlite", "ATTACH ':here:/new.db' AS b", "CREATE TABLE b.u (x)"), there("new.db"), lambda _, two: two
    ),
    "made by vacuum": Racy(
        plain, sql("db.sqlite", "VACUUM INTO ':here:/new.db'"), there("new.db"), lambda _, two: two
    ),
    "renamed while open": Racy(
        plain, reads_on, renames, lambda one, _: one == 1, raising=("OperationalError",)
    ),
    "a journal": Racy(plain, sql("db.sqlite", "BEGIN", SETS, "COMMIT"), lists, lambda _, two: two == ["db.sqlite-journal"]),
    "a log of readers only": Racy(plain, sql("wal.db", READS), lists, lambda _, two: two == ["wal.db-wal"]),
    "no log after the last close": Racy(
        plain, sql("wal.db", READS), lambda db: (there("wal.db-wal")(db), there("wal.db-wal")(db)),
        lambda _, two: two == [True, False],
    ),
    "a copy without the log": Racy(plain, writes_and_waits, copies_the_file, lambda _, two: two == [1, 0]),
    "a log emptied by a checkpoint": Racy(
        plain,
        sql("wal.db", SETS, "PRAGMA wal_checkpoint", "SELECT 1 FROM t"),
        lambda db: db.with_name("wal.db").read_bytes() != db.with_name("wal.db").read_bytes(),
        lambda _, two: two,
    ),
    "exclusive": Racy(plain, keeps("wal.db", SETS), sql("wal.db", READS, **ASKS), lambda _, two: two == "database is locked"),
    "exclusive by reading": Racy(
        plain, keeps("b.db", READS), sql("b.db", SETS, **ASKS), lambda _, two: two == "database is locked"
    ),
    "killed while exclusive": Racy(
        plain,
        keeps("b.db", SETS),
        sql("b.db", SETS, **ASKS),
        lambda one, two: (one, two) == ("info", "database is locked"),
        kills=True,
    ),
    "shared memory": Racy(plain, in_memory("file:m?mode=memory&cache=shared", each=True), NOTHING, lambda one, _: one == 1),
    "one connection in memory": Racy(plain, in_memory(":memory:"), NOTHING, lambda one, _: one == 1),
    "a setting read and written": Racy(
        plain, sql("b.db", "PRAGMA user_version"), sql("b.db", "PRAGMA user_version = 5"), lambda one, _: one == 5
    ),
}  # fmt: skip
