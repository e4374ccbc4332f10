"""``sqlite3`` in the ways that ``sync_programs`` does not use it: transaction modes, URIs, several connections and files."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.schedulers.tree.exhaustive import Exhaustive
from harness.schedulers.tree.stateful import Stateful
from tests.harness.counter import counts_to, executions_of_each, prepared, raced, reduced_and_brute
from tests.harness.libraries.judging import found_and_replayed, valid_and_complete
from tests.harness.sync_programs import READ, WRITE, bump, plainly

pytestmark = pytest.mark.forks

NEW = pytest.mark.skipif(sys.version_info < (3, 12), reason="autocommit= came with Python 3.12")
OTHER = "other.sqlite"
NOTHING = "UPDATE t SET n = n WHERE k = 2"


def of(*, first: str = "", uri: bool = False, **options: Any) -> Callable[[Path], None]:
    """Return a worker that counts over a connection with *options*, in a transaction that begins with *first*."""

    def counts(db: Path) -> None:
        where = f"file:{db}?mode=rw" if uri else db
        with closing(sqlite3.connect(where, uri=uri, **options)) as connection:
            if first:
                connection.execute(first)
            bump(connection)
            if connection.in_transaction and options.get("autocommit") is True:
                connection.execute("COMMIT")  # there commit() does nothing
            elif connection.in_transaction:
                connection.commit()

    return counts


def over_two_connections(db: Path) -> None:
    """One reads, the other writes."""
    with plainly(db) as reader, plainly(db) as writer:
        (n,) = reader.execute(READ).fetchone()
        writer.execute(WRITE, (n + 1,))


def over_two_in_one_transaction(db: Path) -> None:
    """The one that writes keeps others out while the other reads."""
    with plainly(db) as reader, plainly(db) as writer:
        writer.execute("BEGIN IMMEDIATE")
        (n,) = reader.execute(READ).fetchone()
        writer.execute(WRITE, (n + 1,))
        writer.execute("COMMIT")


def attached(begin: str) -> Callable[[Path], None]:
    """Return a worker that reads from a file that is attached, and writes to it, after *begin*."""

    def counts(db: Path) -> None:
        with plainly(db) as connection:
            connection.execute("ATTACH ? AS other", (str(db.with_name(OTHER)),))
            connection.execute(begin)
            (n,) = connection.execute("SELECT n FROM other.t WHERE k = 1").fetchone()
            connection.execute("UPDATE other.t SET n = ? WHERE k = 1", (n + 1,))
            if connection.in_transaction:
                connection.execute("COMMIT")

    return counts


def from_one_file_to_another(db: Path) -> None:
    """Two files that should be equal, each right by itself."""
    with plainly(db) as one, plainly(db.with_name(OTHER)) as other:
        one.execute("UPDATE t SET n = n + 1 WHERE k = 1")
        (n,) = one.execute(READ).fetchone()
        other.execute(WRITE, (n,))


TWO = counts_to(2)
THERE = counts_to(2, file=OTHER)

FAULTY = [
    pytest.param(of(isolation_level="EXCLUSIVE", uri=True), TWO, "at end", id="exclusive, but after the read"),
    pytest.param(over_two_connections, TWO, "at end", id="two connections"),
    pytest.param(attached("SELECT 1"), THERE, "at end", id="attached"),
    pytest.param(from_one_file_to_another, THERE, "at end", id="two files"),
    pytest.param(of(autocommit=True), TWO, "at end", id="autocommit=True", marks=NEW),
    pytest.param(of(autocommit=False), TWO, "error", id="autocommit=False, refused", marks=NEW),
]

RIGHT = [
    pytest.param(of(isolation_level="IMMEDIATE", first=NOTHING), TWO, id="immediate"),
    pytest.param(over_two_in_one_transaction, TWO, id="two connections"),
    pytest.param(attached("BEGIN IMMEDIATE"), THERE, id="attached"),
    pytest.param(of(autocommit=True, first="BEGIN IMMEDIATE"), TWO, id="autocommit=True", marks=NEW),
    pytest.param(of(autocommit=False, first=NOTHING), TWO, id="autocommit=False", marks=NEW),
]


@pytest.mark.parametrize(("worker", "rule", "kind"), FAULTY)
def test_the_race_is_found_and_replayed(worker: Callable[[Path], None], rule: Any, kind: str) -> None:
    """Where the read lies before what keeps others out."""
    scenario = raced(worker, setup=prepared(files=[OTHER]), at_end=(rule,))
    assert found_and_replayed(scenario, times=1).kind == kind


@pytest.mark.parametrize(("worker", "rule"), RIGHT)
def test_the_corrected_program_is_valid(worker: Callable[[Path], None], rule: Any) -> None:
    """In every interleaving."""
    valid_and_complete(raced(worker, setup=prepared(files=[OTHER]), at_end=(rule,)))


def over_both_rows(begin: str) -> Callable[[Path], list[Any]]:
    """Return a worker that adds to both rows by one ``executemany`` after *begin*, and says how many rows that changed."""

    def adds(db: Path) -> list[Any]:
        with plainly(db) as connection:
            if begin:
                connection.execute(begin)
            cursor = connection.executemany("UPDATE t SET n = n + 1 WHERE k = ?", iter([(1,), (2,)]))
            changed = cursor.rowcount
            cursor.execute("SELECT n FROM t")
            if begin:
                connection.execute("COMMIT")
            return [changed, cursor.rowcount]

    return adds


def sees_both_alike(db: Path) -> None:
    """Fail where one row has been added to and the other has not."""
    with plainly(db) as connection:
        first, second = (n for (n,) in connection.execute("SELECT n FROM t ORDER BY k").fetchall())
        assert first == second


@pytest.mark.parametrize("begin", ["", "BEGIN"])
def test_executemany_in_autocommit_is_a_transaction_for_each_row(begin: str) -> None:
    """Others may come between the rows, but not in a transaction; all rows are counted."""
    scenario = raced([over_both_rows(begin), sees_both_alike])
    if begin:
        valid_and_complete(scenario)
    else:
        found_and_replayed(scenario)
    (found,) = executions_of_each(raced([over_both_rows(begin)]), Exhaustive())
    assert [outcome.value for outcome in found[0].history.outcomes()] == [[2, -1]]


def test_parameters_that_can_not_be_made_end_executemany_where_they_would() -> None:
    """The rows before are written."""

    def writes(db: Path) -> Any:
        def rows() -> Iterator[tuple[int, int]]:
            yield 11, 1
            raise ValueError("no more")

        with closing(sqlite3.connect(db)) as connection:
            with pytest.raises(ValueError, match="no more"):
                connection.executemany("UPDATE t SET n = ? WHERE k = ?", rows())
            return connection.execute(READ).fetchone()[0]

    (found,) = executions_of_each(raced([writes]), Exhaustive())
    assert [outcome.value for outcome in found[0].history.outcomes()] == [11]


def begins_exclusively(db: Path) -> str:
    """Say whether BEGIN EXCLUSIVE had its lock: while it waits for readers it keeps writers out."""
    with plainly(db) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            return str(error)
        connection.execute("COMMIT")
        return "had it"


def reads_then_writes(*, keeping: bool) -> Callable[[Path], str]:
    """Return a worker that writes in the transaction in which it read; *keeping* its locks between transactions."""

    def worker(db: Path) -> str:
        with plainly(db) as connection:
            if keeping:
                connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchone()
            connection.execute("BEGIN")
            connection.execute(READ).fetchone()
            try:
                connection.execute(NOTHING)
            except sqlite3.OperationalError as error:
                return str(error)
            connection.execute("COMMIT")
            return "wrote"

    return worker


@pytest.mark.parametrize("keeping", [False, True])
def test_who_waits_in_begin_exclusive_keeps_writers_out(keeping: bool) -> None:
    """The search that prunes finds what trying everything finds: a reader that comes to write is refused."""
    scenario = raced([begins_exclusively, reads_then_writes(keeping=keeping)], raising_fails=False)
    found = executions_of_each(scenario, Stateful(), Exhaustive(reduction=False))
    reduced, brute = (
        {tuple(event.value for name in ("op0", "op1") for event in each.history.outcomes(name)) for each in search
         if not each.abandoned}
        for search in found
    )  # fmt: skip
    assert reduced == brute
    assert ("had it", "database is locked") in reduced or keeping
    assert any(told[1] == "database is locked" for told in reduced)


def statements(*statements: str, timeout: float = 5.0) -> Callable[[Path], list[str]]:
    """Return a worker that executes *statements* and says what came of each."""

    def worker(db: Path) -> list[str]:
        told = []
        with closing(sqlite3.connect(db, timeout=timeout, isolation_level=None)) as connection:
            for sql in statements:
                try:
                    told.append(repr(connection.execute(sql).fetchall()))
                except sqlite3.OperationalError as error:
                    told.append(str(error))
        return told

    return worker


def implicitly(sql: str) -> Callable[[Path], list[Any]]:
    """Return a worker that executes *sql* in the transaction that ``sqlite3`` begins for it, and says whether it did."""

    def worker(db: Path) -> list[Any]:
        with closing(sqlite3.connect(db)) as connection:
            try:
                connection.execute(sql)
            except sqlite3.OperationalError as error:
                return [str(error), connection.in_transaction]
            connection.commit()
            return ["done"]

    return worker


KEEPS = statements("PRAGMA locking_mode = EXCLUSIVE", NOTHING, READ)


@pytest.mark.parametrize(
    "pair",
    [
        (statements("DROP TABLE t"), statements("BEGIN", NOTHING, "COMMIT")),
        (statements("DROP TABLE t"), implicitly(NOTHING)),
        (statements("CREATE TABLE u (n)"), implicitly("INSERT INTO u VALUES (1)")),
        (KEEPS, statements("BEGIN IMMEDIATE", NOTHING, "COMMIT", timeout=0)),
        (KEEPS, statements("BEGIN", READ, NOTHING, "COMMIT", timeout=0)),
    ],
    ids=["dropped", "dropped-implicit", "made-implicit", "kept", "kept-read"],
)
def test_pruning_loses_no_outcome_of_two_that_differ(pair: tuple[Any, Any]) -> None:
    """Not where a statement does not compile, nor where who waits keeps a lock for reading."""
    reduced, brute = reduced_and_brute(raced(pair, raising_fails=False))
    assert reduced == brute
    assert len(reduced) > 1


def test_a_checkpoint_that_waits_keeps_another_off() -> None:
    """Which is told so, and does nothing."""
    checkpoint = "PRAGMA wal_checkpoint(RESTART)"
    writes = statements("BEGIN IMMEDIATE", NOTHING, "COMMIT")
    scenario = raced([writes, statements(checkpoint), statements(checkpoint)], mode="wal", raising_fails=False)
    (found,) = executions_of_each(scenario, Stateful())
    told = {
        tuple(outcome.value[0] for name in ("op1", "op2") for outcome in each.history.outcomes(name))
        for each in found
        if not each.abandoned
    }
    busy = {each for each in told if "[(1, -1, -1)]" in each}
    assert len(busy) == 2


def puts_back(how: str) -> Callable[[Path], None]:
    """Return a worker that puts a database without the table in the place of the shared one, by *how*."""

    def worker(db: Path) -> None:
        if how == "copy":
            db.write_bytes(db.with_name(OTHER).read_bytes())
            return
        with plainly(db.with_name(OTHER)) as source, plainly(db) as target:
            source.backup(target)

    return worker


@pytest.mark.parametrize("how", ["backup", "copy"])
def test_whether_a_statement_compiles_depends_on_a_database_that_is_put_back(how: str) -> None:
    """After it there is no such table: no transaction is begun, unless it was begun before."""

    def setup(db: Path) -> None:
        prepared()(db)
        with plainly(db.with_name(OTHER)) as connection:
            connection.execute("CREATE TABLE u (n)")

    scenario = raced([implicitly(NOTHING), puts_back(how)], setup=setup, raising_fails=False)
    reduced, brute = (
        {str(outcome.value) for each in search if not each.abandoned for outcome in each.history.outcomes("op0")}
        for search in executions_of_each(scenario, Stateful(), Exhaustive(reduction=False))
    )
    assert reduced == brute
    assert "['no such table: t', False]" in reduced
