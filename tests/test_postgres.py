"""The PostgreSQL server for tests is there when it is wanted, and gone when nobody can want it any more."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import postgres

HOLDER = """
import time
from tests.postgres import running
with running() as server:
    print(server.url, flush=True)
    time.sleep(600)
"""


def test_every_test_has_a_database_of_its_own(postgres_server: postgres.Server) -> None:
    """A copy has what its template had, and nothing of what others do later."""
    template = postgres_server.create()
    postgres.execute(template, "CREATE TABLE numbers (number int)")
    one, two = postgres_server.create(template), postgres_server.create(template)
    postgres.execute(one, "INSERT INTO numbers VALUES (%s)", (1,))
    assert postgres.execute(one, "SELECT * FROM numbers") == [(1,)]
    assert postgres.execute(two, "SELECT * FROM numbers") == []
    for url in (one, two, template):
        postgres_server.drop(url)
    names = {name for (name,) in postgres.execute(postgres_server.url, "SELECT datname FROM pg_database")}
    assert not names & {postgres.name_of(url) for url in (one, two, template)}


@pytest.mark.slow
@pytest.mark.forks
def test_a_server_ends_with_who_wanted_it(postgres_server: postgres.Server) -> None:
    """Killed without a chance to clean up, it leaves no process and no directory."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], cwd=postgres.ROOT, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        directory = Path(holder.stdout.readline().rstrip("\n").partition("?host=")[2])
        server = int((directory / "postmaster.pid").read_text().splitlines()[0])
        holder.kill()
    deadline = time.monotonic() + 60
    while directory.parent.exists():
        assert time.monotonic() < deadline, "the directory is still there"
        time.sleep(0.02)
    assert not Path(f"/proc/{server}").exists()
