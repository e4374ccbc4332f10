"""SQLAlchemy and SQLModel over ``sqlite3`` and ``aiosqlite``, unmodified: their races are found, right programs are valid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlmodel
from sqlalchemy import create_engine, event, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool
from sqlmodel.ext.asyncio.session import AsyncSession as AsyncSQLModelSession

from tests.harness.counter import counts_to, raced
from tests.harness.libraries.judging import found_and_replayed, valid_and_complete

pytestmark = [pytest.mark.forks, pytest.mark.slow]


class Base(DeclarativeBase):
    """What the models share."""


class Counter(Base):
    """A row of the table that is counted in."""

    __tablename__ = "t"
    k: Mapped[int] = mapped_column(primary_key=True)
    n: Mapped[int]


class Numbered(sqlmodel.SQLModel, table=True):
    """The same, as SQLModel has it."""

    __tablename__ = "t"
    k: int = sqlmodel.Field(primary_key=True)
    n: int


def engine_of(db: Path, **options: Any) -> Any:
    """Return an engine as an application makes it, with its default pool."""
    return create_engine(f"sqlite:///{db}", **options)


# --- the ORM and Core on sqlite3 ------------------------------------------------------------------


def orm(db: Path) -> None:
    """Get an object, change it, commit: the change was computed in Python."""
    engine = engine_of(db)
    with Session(engine) as session:
        counter = session.get_one(Counter, 1)
        counter.n += 1
        session.commit()
    engine.dispose()


def orm_in_sql(db: Path) -> None:
    """The same, computed by the database."""
    engine = engine_of(db)
    with Session(engine) as session:
        session.get_one(Counter, 1).n = Counter.n + 1
        session.commit()
    engine.dispose()


def core(db: Path) -> None:
    """Check, then insert."""
    engine = engine_of(db)
    with engine.begin() as connection:
        if connection.execute(select(Counter.k).where(Counter.n == 7)).first() is None:
            connection.execute(insert(Counter).values(n=7))
    engine.dispose()


def core_immediately(db: Path) -> None:
    """The same in transactions that begin by locking, as SQLAlchemy's documentation has it."""
    engine = engine_of(db)
    event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with engine.begin() as connection:
        if connection.execute(select(Counter.k).where(Counter.n == 7)).first() is None:
            connection.execute(insert(Counter).values(n=7))
    engine.dispose()


# --- asyncio --------------------------------------------------------------------------------------


async def orm_async(db: Path) -> None:
    """Get, change, commit."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{db}")
    async with AsyncSession(engine) as session:
        counter = await session.get_one(Counter, 1)
        counter.n += 1
        await session.commit()
    await engine.dispose()


async def orm_async_in_sql(db: Path) -> None:
    """One statement."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{db}", poolclass=NullPool)
    async with AsyncSession(engine) as session:
        await session.execute(update(Counter).where(Counter.k == 1).values(n=Counter.n + 1))
        await session.commit()
    await engine.dispose()


# --- SQLModel -------------------------------------------------------------------------------------


def of_sqlmodel(db: Path) -> None:
    """Get, change, commit."""
    engine = sqlmodel.create_engine(f"sqlite:///{db}")
    with sqlmodel.Session(engine) as session:
        numbered = session.exec(sqlmodel.select(Numbered).where(Numbered.k == 1)).one()
        numbered.n += 1
        session.add(numbered)
        session.commit()
    engine.dispose()


async def of_sqlmodel_async(db: Path) -> None:
    """Get, change, commit."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{db}")
    async with AsyncSQLModelSession(engine) as session:
        numbered = (await session.exec(sqlmodel.select(Numbered).where(Numbered.k == 1))).one()
        numbered.n += 1
        session.add(numbered)
        await session.commit()
    await engine.dispose()


TWO = counts_to(2)
ONE_ROW = counts_to(1, "SELECT count(*) FROM t WHERE n = 7")


@pytest.mark.parametrize(
    ("worker", "rule"),
    [(orm, TWO), (core, ONE_ROW), (orm_async, TWO), (of_sqlmodel, TWO), (of_sqlmodel_async, TWO)],
)
def test_its_race_is_found_and_replayed(worker: Callable[[Path], Any], rule: Any) -> None:
    """What was read has changed by the time that is written which was computed from it."""
    assert found_and_replayed(raced(worker, at_end=(rule,))).kind == "at end"


@pytest.mark.parametrize(("worker", "rule"), [(orm_in_sql, TWO), (core_immediately, ONE_ROW), (orm_async_in_sql, TWO)])
def test_the_corrected_program_is_valid(worker: Callable[[Path], Any], rule: Any) -> None:
    """In every interleaving."""
    valid_and_complete(raced(worker, at_end=(rule,)))
