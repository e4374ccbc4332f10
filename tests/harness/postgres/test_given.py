"""A server that somebody else runs, by URL: raced over as one's own, and left as it was."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from multiprocess import get_context

from harness.cli.main import main
from harness.control.run import run
from harness.control.testbed.testbed import open_testbed
from harness.errors import BadInput
from harness.postgres import given
from harness.postgres.address import Address
from harness.postgres.given import Given
from harness.pytest_plugin import pytest_configure
from harness.saved.counterexample import Counterexample, save
from harness.scenario import Check
from harness.values.history import Event, History
from harness.verdict import Verdict
from scenarios.issue_token import SCENARIO
from scenarios.over_postgres import on_postgres
from tests.harness.postgres.programs import counted, needs_server, raced, statements
from tests.harness.postgres.test_drivers import with_asyncpg, with_psycopg
from tests.postgres import Server, execute, running

pytestmark = [pytest.mark.forks, pytest.mark.slow]

PASSWORD, PLAINER = r"s3:cr\t@ %word", "s3cr@t %word"
"""The second is for asyncpg, which takes what stands for ``:`` and for a backslash in a password file as it is."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with a superuser who has to give a password, and somebody who is none."""
    with running() as it:
        execute(it.url, "CREATE ROLE plain LOGIN CREATEDB")
        execute(it.url, "SET password_encryption = 'scram-sha-256'")
        with psycopg.connect(it.url, autocommit=True) as connection:
            for role, password in (("racer", PASSWORD), ("racer2", PLAINER)):
                connection.execute(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{password}'".encode())
        rules = Path(it.url.partition("host=")[2], "pg_hba.conf")
        rules.write_text("local all racer,racer2 scram-sha-256\nlocal all all trust\n")
        execute(it.url, "SELECT pg_reload_conf()")
        yield it


@pytest.fixture
def url(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL with the password, which is what races are over in this test."""
    place = server.url.partition("@")[2].replace("/postgres", "/untouched")
    url = f"postgresql://racer:{quote(PASSWORD, safe='')}@{place}"
    monkeypatch.setenv("HARNESS_POSTGRES", url)
    return url


def databases(server: Server) -> set[str]:
    """Those that explorations have made."""
    return {name for (name,) in execute(server.url, "SELECT datname FROM pg_database") if name.startswith(given.PREFIX)}


def tells(db: Any) -> Any:
    """Lose an update, and tell where, and what else says so."""
    with_psycopg(db, lock="")
    return f"{db} {os.environ.get('HARNESS_POSTGRES')}"


async def tells_too(db: Any) -> Any:
    """The same by another driver."""
    await with_asyncpg(db, lock="")
    return db


@needs_server
def test_the_token_race_has_as_many_interleavings_as_on_a_server_of_its_own(url: str, server: Server) -> None:
    """Six, by two explorers at once, each in a database of its own; and nothing is left."""
    result = run(on_postgres(SCENARIO), scheduler="exhaustive", jobs=2, max_executions=20)
    assert (result.verdict, result.complete, result.executions) == (Verdict.VALID, True, 6), result
    assert databases(server) == set()


@needs_server
def test_no_text_has_the_password(url: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drivers of both kinds find it where the URL says, and don't tell it."""
    result = run(counted(tells), max_executions=20, explain=False)
    assert result.verdict is Verdict.INVALID, result
    text = save(Counterexample.of(result), tmp_path).read_text()
    assert "/race_harness_" in text
    assert "pgpass" in text
    assert not any(each in text for each in ("s3:", "cr\\", quote(PASSWORD, safe="")))
    there = server.url.partition("@")[2]
    monkeypatch.setenv("HARNESS_POSTGRES", f"postgresql://racer2:{quote(PLAINER)}@{there}")
    mixed = run(raced(tells, tells_too), max_executions=4)
    assert mixed.verdict is Verdict.VALID, str(mixed.counterexample and mixed.counterexample.failure)
    assert databases(server) == set()


def dies(server: Server, left: Any) -> None:
    """Explore, and be killed: rules are asked about in the process that explores."""

    def kill(db: Any) -> None:
        left.send(sorted(databases(server)))
        os.kill(os.getpid(), signal.SIGKILL)

    run(raced(statements("SELECT 1"), at_end=(Check("it lives", kill),)), max_executions=1)


@needs_server
def test_what_a_killed_run_has_left_is_dropped_and_nothing_else(url: str, server: Server) -> None:
    """Whose database is whose is told by a lock, whatever the processes' numbers: that may be another machine's."""
    context = get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=dies, args=(server, there))
    process.start()
    there.close()
    left = set(here.recv())
    process.join()
    assert len(left) == 2
    assert left <= databases(server)
    execute(server.url, "CREATE DATABASE race_harness_of_somebody")
    with open_testbed(raced(statements("SELECT 1")), 1):
        own = databases(server) - left - {"race_harness_of_somebody"}
        assert len(own) == 2
        with open_testbed(raced(statements("SELECT 1")), 1):
            assert own < databases(server)
        assert databases(server) == own | {"race_harness_of_somebody"}
    execute(server.url, "DROP DATABASE race_harness_of_somebody")
    assert databases(server) == set()


@needs_server
def test_what_will_not_do_is_said_with_exit_code_2(
    server: Server, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is raced, and without the password."""

    def said(url: str, *command: str) -> str:
        command = command or ("run", "issue-token-postgres", "--max-executions", "1")
        assert main([*command, "--postgres", url]) == 2
        text = capsys.readouterr().err
        assert "s3" not in text
        return text

    nobody = "postgresql://racer:s3cret@127.0.0.1:1/"
    assert "No connection to postgresql://racer@127.0.0.1:1/postgres" in said(nobody)
    assert "password" in said(url.replace("word@", "wrong@"))
    assert "'plain' is no superuser" in said(server.url.replace("//postgres@", "//plain@"))
    assert "it names a driver" in said("postgresql+psycopg://racer:s3cret@localhost/")
    assert "it is none of PostgreSQL" in said("s3cret", "gate")
    monkeypatch.setattr(given, "_OLDEST", 990_000)
    assert "99 is the oldest that will do" in said(url)
    assert databases(server) == set()


PROJECT = """
[tool.harness]
scenarios = ["races.py:RACE"]
postgres = {url!r}
jobs = 1
"""
RACES = """
import psycopg
from harness import Check, Scenario, Workload

def there(db):
    assert {mark!r} in db, "another server"

RACE = Scenario(name="there", setup=there, operations={{"look": there}}, workload=lambda n: Workload.each("look", workers=n),
                database="postgresql")
"""


@needs_server
def test_a_gate_races_where_its_settings_say(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And tells of the URL to nobody who lists processes: not in the command of a row."""
    monkeypatch.setenv("HARNESS_POSTGRES", "")
    (tmp_path / "races.py").write_text(RACES.format(mark=server.url.partition("host=")[2]))
    (tmp_path / "pyproject.toml").write_text(PROJECT.format(url=server.url))
    assert main(["gate", "--config", str(tmp_path / "pyproject.toml"), "--json"]) == 0, capsys.readouterr()
    assert server.url not in capsys.readouterr().out


def test_pytest_is_told_where_to_race(monkeypatch: pytest.MonkeyPatch) -> None:
    """By an option, which is checked."""
    monkeypatch.setenv("HARNESS_POSTGRES", "")
    config = SimpleNamespace(getoption={"--harness-postgres": "postgresql://h/"}.get)
    pytest_configure(config)  # type: ignore[arg-type]
    assert os.environ["HARNESS_POSTGRES"] == "postgresql://h/"
    config.getoption = {"--harness-postgres": "s3cret"}.get
    with pytest.raises(pytest.UsageError, match="--harness-postgres: The URL given"):
        pytest_configure(config)  # type: ignore[arg-type]


@needs_server
def test_a_server_that_has_failed_is_not_the_codes_failure(url: str, server: Server, tmp_path: Path) -> None:
    """It has no room for a session, or is gone."""
    told = Event("fail", "c0", 0, 0, "op0", (), 1, 0.0, value="FATAL: sorry, too many clients already")
    one = Given(url, tmp_path)
    one.start()
    assert one.ended(History(())) == ""
    assert "max_connections" in one.ended(History((told,)))
    one._started = b"earlier"
    assert "has been started anew" in one.ended(History(()))
    one.stop()
    assert list(tmp_path.iterdir()) == []


def test_an_address_is_taken_apart_without_losing_anything() -> None:
    """But the password, which is in no URL that is made of it, and in no text."""
    address = Address.parse("postgres://a%40b:p%3Aw@db.example:5433/app?sslmode=require&host=%2Ftmp%2Fa+b")
    assert (address.user, address.password) == ("a@b", "p:w")
    assert address.url("x", passfile="/f") == (
        "postgresql://a%40b@db.example:5433/x?sslmode=require&host=/tmp/a%2Bb&passfile=/f"
    )
    assert "p:w" not in f"{address!r} {address.text}"
    assert Address.parse("postgresql://?user=u&password=pw").password == "pw"
    for wrong in ("postgresql:db", "postgresql://a,b/", "postgresql://h/?options=-c%20a%3Db", "postgresql://[h/"):
        with pytest.raises(BadInput, match="can't be used"):
            Address.parse(wrong)
