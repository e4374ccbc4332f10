"""Where Hypothesis keeps the examples that failed: a folder or a Redis server, which several machines may share."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase

from harness.errors import BadInput

__all__ = ["examples_in"]

_REDIS = re.compile(r"(rediss?|unix)://")


def examples_in(where: str) -> ExampleDatabase:
    """Return the example database in the folder *where*, or on the server at that ``redis://`` URL.

    Raises ``BadInput`` for a folder that can't be written, a server that does not answer, and without the package ``redis``.
    """
    if _REDIS.match(where):
        return _on_redis(where)
    folder = Path(where)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"The example database {where!r} can't be a folder: {error.strerror or error}. Give a folder that may be "
            "written, or redis://HOST:PORT/DATABASE."
        ) from None
    return DirectoryBasedExampleDatabase(folder)


def _on_redis(url: str) -> ExampleDatabase:
    try:
        from hypothesis.extra.redis import RedisExampleDatabase
        from redis import Redis
    except ImportError as error:
        raise BadInput(
            f"The example database {url!r} needs the package `redis`, which can't be imported ({error}): pip install redis"
        ) from None
    try:
        server = Redis.from_url(url)
        server.ping()
    except Exception as error:  # The client has a hierarchy of its own, and ValueError for a URL that is none.
        raise BadInput(
            f"The example database {url!r} does not answer: {type(error).__name__}: {error}. Does the server run, and can this "
            "machine reach it?"
        ) from None
    return RedisExampleDatabase(server)
