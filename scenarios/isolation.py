"""The isolation anomalies of the Hermitage list, as races of transactions over PostgreSQL, at each isolation level.

The list and the programs are those of Kleppmann's Hermitage (github.com/ept/hermitage). The names of the anomalies are those
of Adya, "Weak Consistency" (1999), and of Bailis et al., "Highly Available Transactions" (VLDB 2013). The anomalies that
PostgreSQL allows at each level follow from its documentation (chapter 13.2): in READ COMMITTED each statement sees the
data that is committed when it begins, REPEATABLE READ is snapshot isolation, SERIALIZABLE is serializable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from harness.scenario import Call, Check, Client, Scenario, Workload
from harness.values.history import History

__all__ = ["ANOMALIES", "LEVELS", "SCENARIOS", "Anomaly", "scenario"]

LEVELS = ("read-committed", "repeatable-read", "serializable")

Rows = list[list[Any]]
Seen = dict[str, list[Rows]]
"""What each transaction that committed was told by its reads, in order."""

GAVE_UP = "gave up"
"""What a transaction returns that the server undid in favour of another."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """An anomaly: the transactions that may show it, and the level from which on it is impossible.

    ``transactions`` holds the statements of each transaction. ``shown(seen, rows)`` returns whether the anomaly happened,
    with the table at the end as ``rows``. ``until`` is the first level at which it can't happen.
    """

    name: str
    story: str
    transactions: tuple[tuple[str, ...], ...]
    shown: Callable[[Seen, dict[int, int]], bool]
    until: str

    def possible(self, level: str) -> bool:
        """Return whether PostgreSQL allows the anomaly at *level*."""
        return LEVELS.index(level) < LEVELS.index(self.until)


def _setup(db: str) -> None:
    import psycopg

    with psycopg.connect(db) as connection:
        connection.execute("CREATE TABLE test (id int PRIMARY KEY, value int NOT NULL)")
        connection.execute("INSERT INTO test VALUES (1, 10), (2, 20)")


def _transaction(db: str, level: str, statements: Sequence[str]) -> Any:
    """Run *statements* in one transaction; return the rows of each read, or ``GAVE_UP`` if the server undid it."""
    import psycopg

    with psycopg.connect(db, autocommit=True) as connection:
        told: list[Rows] = []
        try:
            connection.execute(f"BEGIN ISOLATION LEVEL {level.replace('-', ' ').upper()}".encode())
            for statement in statements:
                cursor = connection.execute(statement.encode())
                if cursor.description is not None:
                    told.append([list(row) for row in cursor.fetchall()])
            if statements[-1] != "ROLLBACK":
                connection.execute("COMMIT")
        except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
            return GAVE_UP
        return told


def _held(anomaly: Anomaly, history: History, db: str) -> bool:
    import psycopg

    with psycopg.connect(db) as connection:
        rows: dict[int, int] = dict(connection.execute("SELECT id, value FROM test").fetchall())
    seen = {each.operation: each.value for each in history.outcomes() if each.ok and each.value != GAVE_UP}
    return not anomaly.shown(seen, rows)  # type: ignore[arg-type]


def scenario(anomaly: Anomaly, level: str) -> Scenario:
    """Return the scenario that runs the transactions of *anomaly* at *level*, each on a worker of its own."""
    operations = {
        f"T{number}": partial(_transaction, level=level, statements=statements)
        for number, statements in enumerate(anomaly.transactions, 1)
    }
    clients = tuple(Client((Call(name, (), worker),)) for worker, name in enumerate(operations))
    return Scenario(
        name=f"{anomaly.name}-{level}",
        story=f"{anomaly.story} At {level.replace('-', ' ').upper()}.",
        setup=_setup,  # type: ignore[arg-type]
        operations=operations,
        workload=lambda _: Workload(clients, len(clients)),
        postconditions=(Check(f"no {anomaly.name}", partial(_held, anomaly)),),
        workers=len(clients),
        database="postgresql",
        ordered=False,
    )


ONE, TWO = "SELECT value FROM test WHERE id = 1", "SELECT value FROM test WHERE id = 2"
BOTH, THIRDS = "SELECT value FROM test ORDER BY id", "SELECT value FROM test WHERE value % 3 = 0"


def put(key: int, value: int) -> str:
    """Return the statement that sets a row."""
    return f"UPDATE test SET value = {value} WHERE id = {key}"


def _skewed(seen: Seen, initial: Rows) -> bool:
    """Return whether both transactions committed and neither had seen the other's write."""
    return {"T1", "T2"} <= seen.keys() and seen["T1"][0] == seen["T2"][0] == initial


def _reads(seen: Seen, name: str, value: int) -> bool:
    """Return whether transaction *name* has read *value*."""
    return any([value] in rows for rows in seen.get(name, []))


def _vanished(seen: Seen, rows: dict[int, int]) -> bool:
    """Return whether T3 sees one row as a transaction left it, and afterwards the other row from before that transaction."""
    ((first,),), ((second,),) = seen["T3"]
    order = [(10, 20), (11, 19), (12, 18)] if rows[1] == 12 else [(10, 20), (12, 18), (11, 19)]
    return [row[1] for row in order].index(second) < [row[0] for row in order].index(first)


ANOMALIES = (
    Anomaly(
        "g0", "Write cycles: of two transactions that write the same two rows each has the last word on one.",
        ((put(1, 11), put(2, 21)), (put(1, 12), put(2, 22))),
        lambda _, rows: (rows[1], rows[2]) not in ((11, 21), (12, 22)), "read-committed",
    ),
    Anomaly(
        "g1a", "Aborted reads: somebody sees what was undone.",
        ((put(1, 101), "ROLLBACK"), (BOTH, BOTH)),
        lambda seen, _: _reads(seen, "T2", 101), "read-committed",
    ),
    Anomaly(
        "g1b", "Intermediate reads: somebody sees what its writer has written over.",
        ((put(1, 101), put(1, 11)), (BOTH, BOTH)),
        lambda seen, _: _reads(seen, "T2", 101), "read-committed",
    ),
    Anomaly(
        "g1c", "Circular information flow: each of two transactions sees what the other wrote.",
        ((put(1, 11), TWO), (put(2, 22), ONE)),
        lambda seen, _: seen.get("T1") == [[[22]]] and seen.get("T2") == [[[11]]], "read-committed",
    ),
    Anomaly(
        "otv", "An observed transaction vanishes: after one of its rows has been seen, another is as before it.",
        ((put(1, 11), put(2, 19)), (put(1, 12), put(2, 18)), (ONE, TWO)),
        lambda seen, rows: "T3" in seen and _vanished(seen, rows), "read-committed",
    ),
    Anomaly(
        "pmp", "Predicate with many preceders: what matches a condition changes between two reads.",
        ((THIRDS, THIRDS), ("INSERT INTO test VALUES (3, 30)",)),
        lambda seen, _: "T1" in seen and seen["T1"][0] != seen["T1"][1], "repeatable-read",
    ),
    Anomaly(
        "p4", "A lost update: two add one to what they read, and one of them is lost.",
        ((ONE, put(1, 11)), (ONE, put(1, 11))),
        lambda seen, _: _skewed(seen, [[10]]), "repeatable-read",
    ),
    Anomaly(
        "g-single", "Read skew: of two rows that are changed together one is seen before and one after the change.",
        ((ONE, TWO), (put(1, 12), put(2, 18))),
        lambda seen, _: seen.get("T1") in ([[[10]], [[18]]], [[[12]], [[20]]]), "repeatable-read",
    ),
    Anomaly(
        "g2-item", "Write skew: two read two rows, and each changes another one of them.",
        ((BOTH, put(1, 11)), (BOTH, put(2, 21))),
        lambda seen, _: _skewed(seen, [[10], [20]]), "serializable",
    ),
    Anomaly(
        "g2", "Anti-dependency cycle: two find nothing that matches a condition, and each adds something that does.",
        ((THIRDS, "INSERT INTO test VALUES (3, 30)"), (THIRDS, "INSERT INTO test VALUES (4, 42)")),
        lambda seen, _: _skewed(seen, []), "serializable",
    ),
)  # fmt: skip


def _raced(anomaly: Anomaly) -> list[Scenario]:
    """Return a scenario of *anomaly* for each level that forbids it; the levels that allow it are variants of the last."""
    safe = [scenario(anomaly, level) for level in LEVELS if not anomaly.possible(level)]
    allowed = {level: scenario(anomaly, level) for level in LEVELS if anomaly.possible(level)}
    return [*safe[:-1], replace(safe[-1], variants=allowed)]


SCENARIOS = tuple(each for anomaly in ANOMALIES for each in _raced(anomaly))
