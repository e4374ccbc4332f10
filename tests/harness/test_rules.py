"""Rules live in the world of the code under test: its time, its files; and what they look at elsewhere is not remembered."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from harness.boundary.epoch import EPOCH
from harness.control.rules.answers import Answers
from harness.control.rules.evaluation import RuleFailed, ask, breaks
from harness.control.rules.virtual_view import Window
from harness.scenario import Call, Change, Check, Client, Scenario, Workload
from harness.values.history import History
from harness.verdict import Verdict
from tests.harness.counter import explored
from tests.harness.test_async import check_valid, failure

_LEASE = 300.0


def lease(db: Path) -> None:
    """A table with the end of one lease that is live."""
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("CREATE TABLE lease (until REAL)")
        connection.execute("INSERT INTO lease VALUES (?)", (time.time() + _LEASE,))
        connection.commit()


def until(db: Path) -> float:
    """Return when the lease ends."""
    with closing(sqlite3.connect(db)) as connection:
        return float(connection.execute("SELECT until FROM lease").fetchone()[0])


def by_sqlite(db: Path, now: str) -> None:
    """Assert that the lease has ended, by SQLite's clock."""
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute(f"SELECT until <= {now} FROM lease").fetchone()[0], "it is live"


async def by_aiosqlite(db: Path) -> None:
    """The same in a thread of a library, awaited."""
    async with (
        aiosqlite.connect(db) as connection,
        connection.execute("SELECT until <= unixepoch('now') FROM lease") as cursor,
    ):
        row = await cursor.fetchone()
    assert row is not None
    assert row[0], "it is live"


CLOCKS: dict[str, Callable[[Path], Any]] = {
    "time": lambda db: until(db) <= time.time(),
    "time_ns": lambda db: until(db) <= time.time_ns() / 1e9,
    "utcnow": lambda db: until(db) <= datetime.utcnow().replace(tzinfo=UTC).timestamp(),
    "now": lambda db: until(db) <= datetime.now().timestamp(),
    "today": lambda db: date.fromtimestamp(until(db)) < date.today(),
    "localtime": lambda db: until(db) <= time.mktime(time.localtime()),
    "sqlite": lambda db: by_sqlite(db, "CAST(strftime('%s', 'now') AS REAL)"),
    "sqlite_word": lambda db: by_sqlite(db, "unixepoch(CURRENT_TIMESTAMP)"),
    "sqlite_julian": lambda db: by_sqlite(db, "(julianday('now') - 2440587.5) * 86400.0"),
    "aiosqlite": by_aiosqlite,
}


def nothing(_: Path) -> None:
    """Do nothing."""


def scenario(work: Callable[..., Any] = nothing, setup: Callable[[Path], Any] = nothing, **fields: Any) -> Scenario:
    """Return a scenario of one worker that calls *work* once, unless *fields* say otherwise."""
    defaults = {"workload": lambda workers: Workload.each("work", workers=workers), "workers": 1}
    return Scenario(name="rules", setup=setup, operations={"work": work}, **{**defaults, **fields})


@pytest.mark.forks
@pytest.mark.parametrize("clock", CLOCKS)
def test_a_rule_sees_virtual_time(clock: str) -> None:
    """By the machine's clock the lease has long ended, and the rule that says so would hold."""
    assert failure(explored(scenario(setup=lease, at_end=(Check("over", CLOCKS[clock]),)))).kind == "at end"


@pytest.mark.forks
def test_an_answer_is_remembered_for_its_time_only() -> None:
    """The state is the same when the second call ends, and the lease is over by then."""
    calls = Client((Call("work"), Call("late")))
    raced = scenario(
        setup=lease,
        invariants=(Check("live", lambda db: until(db) > time.time()),),
        workload=lambda _: Workload((calls,), 1),
    )
    late = {**raced.operations, "late": lambda _: time.sleep(_LEASE + 1)}
    assert failure(explored(Scenario(**{**fields_of(raced), "operations": late}))).kind == "invariant"


def fields_of(scenario: Scenario) -> dict[str, Any]:
    """Return what *scenario* was made of."""
    return {name: getattr(scenario, name) for name in scenario.__dataclass_fields__}


async def never(*_: object) -> None:
    """Is broken."""
    await asyncio.sleep(0)
    raise AssertionError("broken always")


@pytest.mark.forks
@pytest.mark.parametrize("kind", ["invariants", "at_end", "postconditions", "transitions"])
def test_a_rule_that_is_a_coroutine_function_is_awaited(kind: str) -> None:
    """Each kind of rule."""

    def changes(db: Path) -> None:
        (db.parent / "file").write_text("x")

    assert "broken always" in failure(explored(scenario(changes, **{kind: (Check("never", never),)}))).message


@pytest.mark.forks
def test_what_must_happen_can_be_a_coroutine_function_too() -> None:
    """A coroutine is not an answer: it did not happen until it says so."""

    async def no(_: Path) -> bool:
        return False

    async def yes(history: History, steps: object) -> bool:
        return bool(history.events)

    result = explored(scenario(must_happen=(Check("no", no), Check("yes", yes))))
    assert result.verdict is Verdict.UNKNOWN
    assert result.reasons == ("a required event never occurred: no",)


def raises_key_error(_: Path) -> None:
    """A mistake in a rule."""
    {}["missing"]


def asks_for_no_table(db: Path) -> None:
    """The same, of SQLite."""
    until(db)


def yields(_: Path) -> Any:
    """A rule of which nothing runs."""
    yield 1
    raise AssertionError("never asked")


@pytest.mark.forks
@pytest.mark.parametrize(
    ("rule", "said"),
    [(raises_key_error, "KeyError: 'missing'"), (asks_for_no_table, "no such table: lease"), (yields, "generator")],
    ids=["KeyError", "OperationalError", "generator"],
)
@pytest.mark.parametrize("kind", ["invariants", "at_end"])
def test_a_rule_that_is_broken_itself_is_no_verdict(kind: str, rule: Callable[[Path], Any], said: str) -> None:
    """Unknown, with where it happened."""
    result = explored(scenario(**{kind: (Check("rule", rule),)}))
    assert result.verdict is Verdict.UNKNOWN
    assert said in result.reasons[0]
    if rule is not yields:
        assert f"in {rule.__name__}" in result.reasons[0]


def test_several_assertions_at_once_are_one() -> None:
    """What a ``TaskGroup`` raises of assertions is a broken rule; with anything else among it the rule has failed."""

    async def several(_: Path) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(never())
            group.create_task(never())

    def mixed(_: Path) -> None:
        raise ExceptionGroup("two", [AssertionError(), KeyError()])

    assert breaks(Check("several", several), Path("db")) == ("several", "broken always; broken always")
    with pytest.raises(RuleFailed, match="ExceptionGroup"):
        ask(Check("mixed", mixed), Path("db"))


def test_a_coroutine_is_asked_from_inside_an_event_loop() -> None:
    """A run that is started by a coroutine has an event loop in its thread already."""

    async def asks() -> None:
        assert breaks(Check("never", never), Path("db")) == ("never", "broken always")
        await asyncio.sleep(0)

    asyncio.run(asks())


# --- files ----------------------------------------------------------------------------------------


def keeps_a_secret(db: Path) -> None:
    """Make a file that nobody else may read, and one through two names."""
    secret = db.parent / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    os.link(secret, db.parent / "other")
    time.sleep(60)


@pytest.mark.forks
def test_a_rule_sees_files_as_they_are() -> None:
    """Modes, links and ages: the copy has them."""

    def as_they_are(db: Path) -> None:
        info = (db.parent / "secret").stat()
        assert info.st_mode & 0o777 == 0o600
        assert info.st_nlink == 2
        assert 59 < time.time() - info.st_mtime < 61, time.time() - info.st_mtime
        assert info.st_ctime == info.st_mtime
        assert 59 < time.time() - db.parent.stat().st_mtime < 61

    check_valid(explored(scenario(keeps_a_secret, at_end=(Check("as they are", as_they_are),))))


def ages(db: Path) -> None:
    """A file agrees with the clock when it is written, touched and written again, also one that setup left."""
    stamp = db.parent / "stamp"
    assert -1 < time.time() - stamp.stat().st_mtime < 1
    for change in (lambda: stamp.write_text("x"), stamp.touch, lambda: os.utime(stamp), lambda: os.utime(stamp, None)):
        time.sleep(100)
        before = time.time()
        assert before - stamp.stat().st_mtime > 99
        change()
        assert before <= stamp.stat().st_mtime <= time.time()


@pytest.mark.forks
def test_the_times_of_files_agree_with_the_clock() -> None:
    """And with what setup left."""

    def setup(db: Path) -> None:
        (db.parent / "stamp").write_text("")

    check_valid(explored(scenario(ages, setup)))


# --- elsewhere ------------------------------------------------------------------------------------


def looked(rule: Callable[[Path], object], directory: Path) -> bool:
    """Return whether *rule* over *directory* is known to have looked elsewhere."""
    with Window.at(0.0, (str(directory),)) as window:
        rule(directory / "db")
    return window.elsewhere


def connects(_: Path) -> None:
    """Look for a server where there is none."""
    with socket.socket() as connection:
        connection.connect_ex(("127.0.0.1", 1))


def test_whether_a_rule_looks_elsewhere_is_seen(tmp_path: Path) -> None:
    """What it was given, code and libraries are no other place; files, programs and sockets are."""
    with tempfile.TemporaryDirectory() as other:
        aside = Path(other) / "file"
        aside.write_text("1")
        places: tuple[Callable[[Path], object], ...] = (
            lambda _: aside.read_text(),
            lambda _: aside.exists(),
            lambda _: os.listdir(other),
            lambda _: sqlite3.connect(aside.with_name("db")).close(),
            lambda _: subprocess.run(["true"], check=True),
            connects,
        )
        assert [looked(rule, tmp_path) for rule in places] == [True] * len(places)

    def at_home(db: Path) -> None:
        (db.parent / "x").write_text("x")
        assert os.listdir(db.parent)
        assert not (db.parent / "y").exists()
        sqlite3.connect(db).close()
        sqlite3.connect(":memory:").close()
        import colorsys  # noqa: F401

    assert not looked(at_home, tmp_path)


def asked(rule: Callable[[Path], object], times: int, moments: Callable[[int], float]) -> int:
    """Return how often *rule* is really asked, of so many times over the same state."""
    answers, count = Answers(), 0

    def ask_it() -> object:
        nonlocal count
        count += 1
        return rule(Path("/nowhere/db"))

    for number in range(times):
        now = moments(number)
        answers.get(
            "rule",
            [Check("rule", rule)],
            "state",
            window=lambda now=now: Window.at(now, ("/nowhere",)),
            ask=ask_it,
            moment=now,
        )  # type: ignore[misc]
    return count


def test_what_is_remembered_is_what_was_compared() -> None:
    """A rule of the state is asked once, one that reads a clock once for each time, one that looks elsewhere always."""
    seen: list[int] = []

    def keeps(_: Path) -> None:
        seen.append(1)

    assert asked(lambda _: True, 5, float) == 1
    assert asked(lambda _: time.monotonic() > 0, 6, lambda number: float(number % 3)) == 3
    assert asked(lambda _: os.path.exists("/elsewhere"), 5, float) == 5
    assert asked(keeps, 5, float) == 5
    assert Answers().look_elsewhere is False


def test_only_those_who_are_asked_see_virtual_time(tmp_path: Path) -> None:
    """A thread that was there before sees real time meanwhile, one that a rule starts does not; afterwards nobody does."""
    told: dict[str, float] = {}
    begin, end = threading.Event(), threading.Event()

    def bystander() -> None:
        begin.wait()
        told["bystander"] = time.time()
        end.set()

    thread = threading.Thread(target=bystander)
    thread.start()
    with Window.at(5.0, (str(tmp_path),)) as window:
        begin.set()
        end.wait()
        helper = threading.Thread(target=lambda: told.update(helper=time.time()))
        helper.start()
        helper.join()
        assert abs(datetime.now(UTC).timestamp() - EPOCH - 5) < 1
        assert window.clock
    thread.join()
    assert told["bystander"] > EPOCH + 1e6
    assert abs(told["helper"] - EPOCH - 5) < 1
    assert time.time() > EPOCH + 1e6
    assert datetime.now(UTC).timestamp() > EPOCH + 1e6


def test_a_change_is_told_when_it_was(tmp_path: Path) -> None:
    """``Change.now`` is what the clock says where the rule is asked."""

    def rule(_: Path, __: Path, change: Change) -> None:
        assert abs(change.now - time.time()) < 1

    with Window.at(7.0, (str(tmp_path),)):
        assert breaks(Check("rule", rule), tmp_path, tmp_path, Change(EPOCH + 7, "c0", {})) is None


@pytest.mark.forks
@pytest.mark.parametrize("how", [["-O"], ["-OO"]], ids=" ".join)
def test_without_asserts_nothing_is_said(how: list[str], tmp_path: Path) -> None:
    """Python with -O is refused, by the command and by the function."""
    (tmp_path / "story.py").write_text("import harness\nharness.race(setup=lambda db: None, worker=lambda db: None)\n")
    command = [sys.executable, *how, "-m", "harness", "run", "issue-token"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, "leaves out every assert" in ended.stderr) == (2, True), ended.stderr
    ended = subprocess.run([sys.executable, *how, tmp_path / "story.py"], capture_output=True, text=True, check=False)
    assert "BadInput" in ended.stderr
    assert "leaves out every assert" in ended.stderr
