"""Classics of the literature as SQL: the `reorder` and `twostage` families of SCTBench, with many sizes.

Thomson, Donaldson and Betts, "Concurrency testing using controlled schedulers: an empirical study" (TOPC 2016). Threads and
variables there are coroutines in a few processes and columns here. All tasks but the last write; the last one checks.
"""

from __future__ import annotations

from pathlib import Path

import aiosqlite

from benchmarks.db_races.race import Race, Task, asks

ROW = "CREATE TABLE v (a INTEGER, b INTEGER); INSERT INTO v VALUES (0, 0);"
SIZES = (3, 4, 5, 10, 20, 50, 100)
STAGES = (2, 20, 50, 100)
PATIENCE = 60
"""Seconds to wait for a lock: a hundred that want it take a while."""


async def sets_two(db: Path) -> None:
    """Set two columns that belong together, one after the other, while another task reads both."""
    async with aiosqlite.connect(db, isolation_level=None, timeout=PATIENCE) as connection:
        await connection.execute("UPDATE v SET a = 1")
        await connection.execute("UPDATE v SET b = -1")


async def sets_both(db: Path) -> None:
    """Set both columns at once."""
    async with aiosqlite.connect(db, isolation_level=None, timeout=PATIENCE) as connection:
        await connection.execute("UPDATE v SET a = 1, b = -1")


async def checks_two(db: Path) -> None:
    """Read one column, then the other: either both must be set or none."""
    async with aiosqlite.connect(db, isolation_level=None, timeout=PATIENCE) as connection:
        ((a,),) = await connection.execute_fetchall("SELECT a FROM v")
        ((b,),) = await connection.execute_fetchall("SELECT b FROM v")
        assert (a, b) in ((0, 0), (1, -1)), f"a = {a}, b = {b}"


async def checks_both(db: Path) -> None:
    """Read both columns at once."""
    async with aiosqlite.connect(db, isolation_level=None, timeout=PATIENCE) as connection:
        ((a, b),) = await connection.execute_fetchall("SELECT a, b FROM v")
        assert (a, b) in ((0, 0), (1, -1)), f"a = {a}, b = {b}"


async def stages(db: Path) -> None:
    """Set one column under the lock, and then another from it under the lock again: a reader in between sees half."""
    async with aiosqlite.connect(db, isolation_level=None, timeout=PATIENCE) as connection:
        await connection.execute("BEGIN IMMEDIATE")
        await connection.execute("UPDATE v SET a = 1")
        await connection.commit()
        await connection.execute("BEGIN IMMEDIATE")
        await connection.execute("UPDATE v SET b = a + 1")
        await connection.commit()


async def stages_at_once(db: Path) -> None:
    """Set both columns under one lock."""
    async with aiosqlite.connect(db, isolation_level=None, timeout=PATIENCE) as connection:
        await connection.execute("BEGIN IMMEDIATE")
        await connection.execute("UPDATE v SET a = 1")
        await connection.execute("UPDATE v SET b = a + 1")
        await connection.commit()


async def looks(db: Path) -> None:
    """Check that the second column is set if the first is."""
    async with aiosqlite.connect(db, isolation_level=None, timeout=PATIENCE) as connection:
        await connection.execute("BEGIN IMMEDIATE")
        ((a,),) = await connection.execute_fetchall("SELECT a FROM v")
        await connection.commit()
        if a:
            ((b,),) = await connection.execute_fetchall("SELECT b FROM v")
            assert b == a + 1, f"a = {a}, b = {b}"


def classic(name: str, tasks: int, writer: Task, right_writer: Task, checker: Task, right_checker: Task) -> Race:
    """Return a race of *tasks* tasks: all but the last write, and the last checks."""
    return Race(
        name,
        " ".join((writer.__doc__ or "").split()),
        ROW,
        (*(writer,) * (tasks - 1), checker),
        (*(right_writer,) * (tasks - 1), right_checker),
        asks("SELECT count(*) FROM v", 1),
    )


RACES: tuple[Race, ...] = (
    *(classic(f"reorder-{size}", size, sets_two, sets_both, checks_two, checks_both) for size in SIZES),
    *(classic(f"twostage-{size}", size, stages, stages_at_once, looks, looks) for size in STAGES),
)
