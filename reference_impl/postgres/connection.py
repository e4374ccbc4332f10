"""A connection to PostgreSQL that takes statements as they are written for SQLite."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import psycopg

from reference_impl.backend import Parameters
from reference_impl.moments import FromNow

# A clock that goes on while a statement waits for a lock, unlike now(), and is the same for every worker.
FROM_NOW = "(extract(epoch FROM clock_timestamp())::float8 + {})"

_PART = re.compile(r"'(?:[^']|'')*'|::|%|\?|:(?P<name>[a-z_]+)")


class PostgresConnection:
    """One connection, in autocommit: every transaction is an explicit one.

    Args:
        raw: the driver's connection.
    """

    def __init__(self, raw: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        self.raw = raw

    async def execute(self, sql: str, parameters: Parameters = (), /) -> psycopg.AsyncCursor[tuple[Any, ...]]:
        """Run one statement.

        Args:
            sql: the statement, with ``?`` or ``:name`` for each parameter.
            parameters: the values; a :class:`FromNow` is reckoned from the server's clock.

        Returns:
            The cursor, with all rows at hand.

        Raises:
            psycopg.Error: what PostgreSQL says.
        """
        # BEGIN and its like are said in so many words each time: to prepare them costs more than it saves.
        return await self.raw.execute(*translated(sql, parameters), prepare=None if parameters else False)

    async def execute_fetchall(self, sql: str, parameters: Parameters = (), /) -> Iterable[Any]:
        """Run one statement and fetch all its rows; parameters, rows and errors as of :meth:`execute`."""
        return await (await self.execute(sql, parameters)).fetchall()

    async def close(self) -> None:
        """Close it; a transaction is undone."""
        await self.raw.close()


def translated(sql: str, parameters: Parameters) -> tuple[bytes, Parameters]:
    """A statement and its values in the form that the driver takes.

    Args:
        sql: the statement, with ``?`` or ``:name`` for each parameter.
        parameters: the values.

    Returns:
        The statement with ``%s`` or ``%(name)s``, the server's clock where a moment was given; the values.
    """
    if isinstance(parameters, Mapping):
        moments = frozenset(name for name, value in parameters.items() if isinstance(value, FromNow))
        values: Parameters = {name: _bound(value) for name, value in parameters.items()}
    else:
        moments = frozenset(str(at) for at, value in enumerate(parameters) if isinstance(value, FromNow))
        values = [_bound(value) for value in parameters]
    return _rewritten(sql, moments), values


def _bound(value: object) -> object:
    return value.seconds if isinstance(value, FromNow) else value


@lru_cache(maxsize=256)
def _rewritten(sql: str, moments: frozenset[str]) -> bytes:
    position = 0

    def placeholder(part: re.Match[str]) -> str:
        nonlocal position
        if part[0] == "%" or part[0].startswith("'"):
            return part[0].replace("%", "%%")
        if part[0] == "::":
            return part[0]
        name = part["name"] or str(position)
        position += part[0] == "?"
        value = f"%({name})s" if part["name"] else "%s"
        return FROM_NOW.format(value) if name in moments else value

    return _PART.sub(placeholder, sql).encode()
