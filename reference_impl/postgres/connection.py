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
    """One connection in autocommit: every transaction begins with an explicit BEGIN.

    Args:
        raw: the driver's connection.
    """

    def __init__(self, raw: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        self.raw = raw

    async def execute(self, sql: str, parameters: Parameters = (), /) -> psycopg.AsyncCursor[tuple[Any, ...]]:
        """Run one statement.

        Args:
            sql: the statement, with ``?`` or ``:name`` for each parameter.
            parameters: the values; a :class:`FromNow` is computed from the server's clock.

        Returns:
            The cursor, with all rows already fetched from the server.

        Raises:
            psycopg.Error: the error of the statement.
        """
        # BEGIN and its like are said in so many words each time: to prepare them costs more than it saves.
        return await self.raw.execute(*translated(sql, parameters), prepare=None if parameters else False)

    async def execute_fetchall(self, sql: str, parameters: Parameters = (), /) -> Iterable[Any]:
        """Run one statement and fetch all its rows; parameters and errors are those of :meth:`execute`."""
        return await (await self.execute(sql, parameters)).fetchall()

    async def close(self) -> None:
        """Close the connection; the server rolls back an open transaction."""
        await self.raw.close()


def translated(sql: str, parameters: Parameters) -> tuple[bytes, Parameters]:
    """Return a statement and its values in the form that the driver takes.

    Args:
        sql: the statement, with ``?`` or ``:name`` for each parameter.
        parameters: the values.

    Returns:
        The statement, with ``%s`` or ``%(name)s`` for each parameter, added to the server's clock where the value is a
        :class:`FromNow`; and the values, with the seconds from now for each of those.
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
