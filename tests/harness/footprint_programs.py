"""What programs of two workers do to databases and files, and what at least one real interleaving lets one of them see.

Each is found only if what both touch is told in full: one access left out, and the search takes the two orders for one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import Call, Check, Client, History, Scenario, Workload
from harness.faults import Faults

__all__ = ["Racy", "connected", "look", "plain", "raced", "sql", "table"]

Operation = Callable[[Path], Any]


@dataclass(frozen=True)
class Racy:
    """Two operations, one for each worker, and what some interleaving has them return (the text of an error, if they raise)."""

    setup: Callable[[Path], None]
    first: Operation
    second: Operation
    seen: Callable[[Any, Any], bool]
    raising: tuple[str, ...] = ()
    kills: bool = False


def connected(path: Path, **options: Any) -> closing[sqlite3.Connection]:
    """Return a connection in autocommit mode that is closed at the end of a ``with``."""
    return closing(sqlite3.connect(path, **{"isolation_level": None, **options}))


def table(path: Path, mode: str = "delete") -> None:
    """Make a database with two rows at *path*."""
    path.parent.mkdir(exist_ok=True)
    with connected(path) as connection:
        connection.execute(f"PRAGMA journal_mode={mode}")
        connection.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, n INTEGER)")
        connection.execute("INSERT INTO t VALUES (1, 0), (2, 0)")


def plain(db: Path) -> None:
    """Two databases with a rollback journal, one with a write-ahead log, a file with two names, a directory with a file."""
    table(db)
    table(db.with_name("b.db"))
    table(db.with_name("wal.db"), "wal")
    (db.parent / "a").write_text("1")
    os.link(db.parent / "a", db.parent / "same")
    (db.parent / "d").mkdir()
    (db.parent / "d" / "x").write_text("old")


def sql(name: str, *statements: str, **options: Any) -> Operation:
    """Return what runs *statements* over the database *name*, and returns the first value of the last one, or its refusal."""

    def run(db: Path) -> Any:
        with connected(db.parent / name, **options) as connection:
            try:
                for statement in statements:
                    row = connection.execute(statement.replace(":here:", str(db.parent))).fetchone()
            except sqlite3.OperationalError as error:
                return str(error)
            return row and row[0]

    return run


def look(db: Path) -> None:
    """Do what touches nothing that others touch, so that others may come between."""
    os.path.exists(db.parent / "nothing")


def _said(history: History, operation: str) -> Any:
    (outcome,) = history.outcomes(operation)
    return (
        outcome.value if outcome.ok else outcome.kind if outcome.kind == "info" else f"{outcome.error}: {outcome.value}"
    )


def raced(name: str, program: Racy, *, ruled: bool = True) -> Scenario:
    """Return the scenario in which what *program* lets be seen breaks the rule; without *ruled* nothing does."""

    def unseen(history: History, _: Path) -> None:
        found = _said(history, "first"), _said(history, "second")
        assert not (ruled and program.seen(*found)), f"they returned {found}"

    clients = Client((Call("first", (), 0),)), Client((Call("second", (), 1),))
    return Scenario(
        name=name,
        setup=program.setup,
        operations={"first": program.first, "second": program.second},
        workload=lambda _: Workload(clients, 2),
        workers=2,
        postconditions=(Check("unseen", unseen),),
        expected_errors=program.raising,
        raising_fails=ruled,
        ordered=False,
        faults=Faults(kill=True, most=1) if program.kills else Faults(),
    )
