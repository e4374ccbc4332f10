"""Fresh databases with agents in them, copied from a template made once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

import reference_impl
from reference_impl.faulty import load
from reference_impl.schema import JournalMode

Make = Callable[..., Path]
Rows = Callable[[Path, str], list[tuple[Any, ...]]]


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, JournalMode], bytes]:
    """The bytes of an initialised file, by variant and journal mode."""
    made: dict[tuple[str, JournalMode], bytes] = {}

    def template(variant: str, mode: JournalMode) -> bytes:
        if (variant, mode) not in made:
            path = tmp_path_factory.mktemp("template") / "a.db"
            module = reference_impl if variant == "reference" else load(variant)
            asyncio.run(module.initialise(path, journal_mode=mode))
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.executemany(
                    "INSERT INTO agents (id, slug, name) VALUES (?, ?, ?)", [("1", "ada", "Ada"), ("2", "bob", "Bob")]
                )
            made[variant, mode] = path.read_bytes()
        return made[variant, mode]

    return template


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A folder in memory where there is one: SQLite syncs every commit to the disk."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def make(in_memory: Path, templates: Callable[[str, JournalMode], bytes]) -> Make:
    """Makes a database of its own for each call, holding the agents ``ada`` and ``bob``."""
    numbers = count()

    def database(variant: str = "reference", mode: JournalMode = "delete") -> Path:
        path = in_memory / f"{next(numbers)}.db"
        path.write_bytes(templates(variant, mode))
        return path

    return database


@pytest.fixture(params=["delete", "wal"])
def mode(request: pytest.FixtureRequest) -> JournalMode:
    """Each journal mode."""
    found: JournalMode = request.param
    return found


@pytest.fixture
def path(make: Make, mode: JournalMode) -> Path:
    """A database in each journal mode."""
    return make(mode=mode)


@pytest.fixture
def rows() -> Rows:
    """Reads a database from outside the service."""

    def read(path: Path, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(sql).fetchall()

    return read
