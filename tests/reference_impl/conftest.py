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
from reference_impl.backend import Address, is_postgres
from reference_impl.faulty import load
from reference_impl.faulty.postgres import load as load_postgres
from reference_impl.schema import JournalMode
from tests import postgres

Make = Callable[..., Path]
Rows = Callable[[Address, str], list[tuple[Any, ...]]]

AGENTS = "INSERT INTO agents (id, slug, name) VALUES ('1', 'ada', 'Ada'), ('2', 'bob', 'Bob')"


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
                connection.execute(AGENTS)
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


@pytest.fixture(scope="session")
def postgres_templates(postgres_server: postgres.Server) -> Callable[[str], str]:
    """The URL of an initialised PostgreSQL database, by variant; nobody stays connected to it."""
    made: dict[str, str] = {}

    def template(variant: str) -> str:
        if variant not in made:
            made[variant] = postgres_server.create()
            module = reference_impl if variant == "reference" else load_postgres(variant)
            asyncio.run(module.initialise(made[variant]))
            postgres.execute(made[variant], AGENTS)
        return made[variant]

    return template


@pytest.fixture
def make_postgres(
    postgres_server: postgres.Server, postgres_templates: Callable[[str], str]
) -> Iterator[Callable[..., str]]:
    """As ``make``, in PostgreSQL."""
    made: list[str] = []

    def database(variant: str = "reference") -> str:
        made.append(postgres_server.create(postgres_templates(variant)))
        return made[-1]

    yield database
    for url in made:
        postgres_server.drop(url)


@pytest.fixture(params=["delete", "wal"])
def mode(request: pytest.FixtureRequest) -> JournalMode:
    """Each journal mode."""
    found: JournalMode = request.param
    return found


@pytest.fixture
def file(make: Make, mode: JournalMode) -> Path:
    """An SQLite database in each journal mode."""
    return make(mode=mode)


@pytest.fixture(params=["delete", "wal", "postgres"])
def path(request: pytest.FixtureRequest) -> Address:
    """A database of each kind, SQLite in each journal mode."""
    if request.param == "postgres":
        url: str = request.getfixturevalue("make_postgres")()
        return url
    made: Path = request.getfixturevalue("make")(mode=request.param)
    return made


@pytest.fixture
def beside(path: Address) -> Address:
    """Where the containers of the service over ``path`` are recorded."""
    return path.with_suffix(".containers") if isinstance(path, Path) else path


@pytest.fixture
def rows() -> Rows:
    """Reads a database from outside the service."""

    def read(path: Address, sql: str) -> list[tuple[Any, ...]]:
        if is_postgres(path):
            return postgres.execute(str(path), sql)
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(sql).fetchall()

    return read
