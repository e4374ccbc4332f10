"""The tables in PostgreSQL: migrations, each applied once, in order, even where several servers start at once."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

MIGRATIONS = Path(__file__).parent / "migrations"

# Alembic knows one environment per process; other processes wait in the database (migrations/env.py).
_ALEMBIC = threading.Lock()


async def upgrade(url: str) -> None:
    """Apply the migrations that are missing.

    Args:
        url: the database.

    Raises:
        OSError: where the database can't be reached or changed.
    """
    await asyncio.to_thread(_upgrade, url)


async def execute(url: str, script: str) -> None:
    """Run statements, in one transaction.

    Args:
        url: the database.
        script: the statements.

    Raises:
        OSError: where the database can't be reached or changed.
    """
    try:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute(script.encode())
    except psycopg.Error as error:
        raise _unusable(url, error) from error


def _upgrade(url: str) -> None:
    def connect() -> psycopg.Connection[Any]:
        return psycopg.connect(url)

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    try:
        engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
        with _ALEMBIC, engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except (psycopg.Error, DBAPIError) as error:
        raise _unusable(url, error.orig if isinstance(error, DBAPIError) else error) from error


def _unusable(url: str, error: BaseException | None) -> OSError:
    name = conninfo_to_dict(url).get("dbname")
    return OSError(
        f"can't make the tables in database {name!r}: {error}; is the server there, and may the user create tables?"
    )
