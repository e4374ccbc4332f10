"""Small coroutines over ``aiosqlite`` into which faults are injected. Raced by ``test_faults``."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from pathlib import Path

import aiosqlite

from tests.harness.sync_programs import ADD, READ


async def adds(db: Path) -> None:
    """Increment in one statement."""
    async with aiosqlite.connect(db, isolation_level=None) as connection:
        await connection.execute(ADD)


async def transaction(db: Path) -> None:
    """Read and increment in one transaction."""
    async with aiosqlite.connect(db, isolation_level=None) as connection:
        await connection.execute("BEGIN IMMEDIATE")
        await connection.execute_fetchall(READ)
        await connection.execute(ADD)
        await connection.commit()


async def tries_again(db: Path) -> None:
    """Increment, and once more where that fails."""
    async with aiosqlite.connect(db, isolation_level=None) as connection:
        with suppress(sqlite3.OperationalError):
            await connection.execute(ADD)
            return
        await connection.execute(ADD)


async def undoes(db: Path) -> None:
    """Increment in a transaction, and roll it back where that fails or is cancelled."""
    async with aiosqlite.connect(db, isolation_level=None) as connection:
        await connection.execute("BEGIN IMMEDIATE")
        try:
            await connection.execute(ADD)
            await connection.commit()
        except BaseException:
            if connection.in_transaction:
                await connection.rollback()
            raise


async def impatient(db: Path) -> str:
    """Read, then increment if the answer came within a second."""
    async with aiosqlite.connect(db, isolation_level=None) as connection:
        started = asyncio.get_running_loop().time()
        await connection.execute_fetchall(READ)
        if asyncio.get_running_loop().time() > started + 1:
            return "late"
        await connection.execute(ADD)
    return "in time"


async def waits(db: Path) -> str:
    """Wait half a second between two increments, at most."""
    async with aiosqlite.connect(db, isolation_level=None) as connection:
        await connection.execute(ADD)
        await asyncio.sleep(0.5)
        await connection.execute(ADD)
    return "done"


PROGRAMS = (adds, transaction, tries_again, undoes, impatient, waits)
