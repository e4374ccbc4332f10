"""Time-outs of PostgreSQL's sessions pass in virtual time, and in no other; however they are set."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest

from harness.control.run import run
from harness.scenario import Call, Check, Client, Scenario, Workload
from harness.verdict import Verdict
from harness.worker.instrument.postgresql.timeouts import Timeouts, passed_in_reality
from tests.harness.postgres.programs import needs_server


def learnt(inside: bool = False, **settings: str) -> tuple[Timeouts, str]:
    """Time-outs of a session with *settings*, and the SQL that moves them away."""
    return with_settings(settings, inside)


def with_settings(settings: dict[str, str], inside: bool = False) -> tuple[Timeouts, str]:
    """See ``learnt``."""
    names = (
        "lock_timeout",
        "statement_timeout",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "transaction_timeout",
    )
    found = Timeouts()
    told = [settings.get(name, "0").encode() for name in names]
    return found, found.learn([*told, settings.get("deadlock_timeout", "1ms").encode(), b"on"], inside)


@pytest.mark.parametrize(
    ("setting", "seconds", "away"),
    [
        ("20ms", 0.02, "1073741844"),
        ("2s", 2.0, "1073743824"),
        ("1min", 60.0, "1073801824"),
        ("1073741844ms", 0.02, ""),
        ("0", 0.0, ""),
    ],
)
def test_what_is_set_is_moved_away_once(setting: str, seconds: float, away: str) -> None:
    """And known from then on, also where it was moved before."""
    timeouts, moves = learnt(lock_timeout=setting)
    assert timeouts.lock == seconds
    assert moves == (f"SELECT set_config('lock_timeout', '{away}', false)" if away else "")


def test_the_search_for_deadlocks_is_left_where_it_was() -> None:
    """The harness waits for it, so it has to be at once."""
    assert learnt(deadlock_timeout="1s", inside=True)[1] == "SELECT set_config('deadlock_timeout', '1', true)"


def test_a_lock_is_waited_for_anew_and_a_statement_is_not() -> None:
    """``lock_timeout`` is for each lock, ``statement_timeout`` from the beginning."""
    timeouts, _ = learnt(lock_timeout="20ms", statement_timeout="30ms")
    assert timeouts.begin(1.0, False) == ""
    timeouts.waits_for("one", 1.0)
    assert (timeouts.deadline(), timeouts.for_a_lock()) == (1.02, True)
    timeouts.waits_for("one", 1.01)
    assert timeouts.deadline() == 1.02
    timeouts.waits_for("other", 1.015)
    assert (timeouts.deadline(), timeouts.for_a_lock()) == (1.03, False)


def test_what_a_transaction_set_is_learnt_again_at_its_end() -> None:
    """At a rollback to a savepoint too."""
    timeouts, _ = learnt()
    timeouts.did(0.0, True, True)
    assert timeouts.unsure
    timeouts.learn([b"20ms", b"0", b"0", b"0", b"0", b"1ms", b"on"], True)
    timeouts.did(0.0, True, False)
    assert timeouts.unsure
    timeouts.did(0.0, False, False)
    assert timeouts.unsure
    timeouts.learn([b"0", b"0", b"0", b"0", b"0", b"1ms", b"on"], False)
    timeouts.did(0.0, False, False)
    assert not timeouts.unsure
    assert timeouts.deadline() == math.inf


@pytest.mark.parametrize(
    ("name", "inside"),
    [("idle_in_transaction_session_timeout", True), ("idle_session_timeout", False), ("transaction_timeout", True)],
)
def test_a_session_that_the_server_would_have_ended_is_named(name: str, inside: bool) -> None:
    """With the setting; and not before its time, nor in the other state."""
    timeouts, _ = with_settings({name: "5s"})
    assert timeouts.begin(1.0, False) == ""
    timeouts.did(1.0, inside, False)
    assert timeouts.begin(5.5, inside) == ""
    timeouts.did(5.5, inside, False)
    other, _ = with_settings({name: "5s"})
    other.did(1.0, not inside, False)
    assert name == "transaction_timeout" or other.begin(9.0, not inside) == ""
    assert name in timeouts.begin(12.0, inside)


@pytest.mark.parametrize(
    ("sqlstate", "text", "passed"),
    [
        ("55P03", "canceling statement due to lock timeout", True),
        ("55P03", "could not obtain lock on row in relation", False),
        ("57014", "canceling statement due to user request", False),
        ("57014", "canceling statement due to statement timeout", True),
        (None, "", False),
    ],
)
def test_a_time_out_of_the_servers_own_is_told_apart(sqlstate: str | None, text: str, passed: bool) -> None:
    """From NOWAIT and from a cancelled statement."""
    assert passed_in_reality(sqlstate, text) is passed


# --- raced ----------------------------------------------------------------------------------------


def set_up(db: Any) -> None:
    """A row, a role with a time-out, and a function that sets one."""
    with psycopg.connect(db, autocommit=True) as connection:
        connection.execute("CREATE TABLE r (n int)")
        connection.execute("INSERT INTO r VALUES (0)")
        connection.execute("CREATE ROLE hasty SUPERUSER LOGIN")
        connection.execute("ALTER ROLE hasty SET lock_timeout = '20ms'")
        connection.execute(
            "CREATE FUNCTION hasty() RETURNS void LANGUAGE sql SET lock_timeout = '20ms' AS 'UPDATE r SET n = n + 1'"
        )


def holds(seconds: float) -> Callable[[Any], None]:
    """Hold the row for so many virtual seconds, and longer than the time-out in reality where that is none."""

    def hold(db: Any) -> None:
        with psycopg.connect(db, autocommit=True) as connection:
            connection.execute("BEGIN")
            connection.execute("UPDATE r SET n = n + 1")
            if seconds:
                time.sleep(seconds)
            else:
                # No statement of the race's own waits for it: the other one waits for the row meanwhile.
                connection.execute("SELECT pg_sleep(0.05)")
            connection.execute("COMMIT")

    return hold


def waits(
    *before: str, user: str = "", options: str = "", does: str = "UPDATE r SET n = n + 1"
) -> Callable[[Any], Any]:
    """Wait for the row after the statements *before*; return what came of it."""

    def wait(db: Any) -> Any:
        address = str(db).replace("postgres@", f"{user}@") if user else str(db)
        try:
            with psycopg.connect(address, options=options, autocommit=True) as connection:
                for statement in (*before, does):
                    connection.execute(statement.encode())
                connection.execute("COMMIT")
        except psycopg.Error as error:
            diag = error.diag
            return [
                type(error).__name__,
                diag.sqlstate,
                diag.message_primary,
                diag.severity,
                str(error).splitlines()[0],
            ]
        return "ok"

    return wait


def waits_by_asyncpg(*before: str, **settings: str) -> Callable[[Any], Any]:
    """The same through asyncpg, with *settings* from the beginning."""

    async def wait(db: Any) -> Any:
        import asyncpg

        connection = await asyncpg.connect(db, server_settings=settings)
        try:
            for statement in (*before, "UPDATE r SET n = n + 1"):
                await connection.execute(statement)
        except asyncpg.PostgresError as error:
            return [type(error).__name__, error.sqlstate, error.message, error.severity, str(error)]
        finally:
            await connection.close()
        return "ok"

    return wait


def told(wait: Callable[[Any], Any], seconds: float, most: int = 60) -> tuple[Any, set[str]]:
    """Race *wait* with one who holds the row for *seconds*; return the result, and what *wait* was told."""
    found: set[str] = set()

    def note(history: Any, db: Any) -> None:
        found.update(str(outcome.value) for outcome in history.outcomes("wait"))

    scenario = Scenario(
        name="timeouts",
        setup=set_up,
        operations={"hold": holds(seconds), "wait": wait},
        workload=lambda _: Workload((Client((Call("hold"),)), Client((Call("wait", (), 1),))), 2),
        workers=2,
        postconditions=(Check("noted", note),),
        database="postgresql",
    )
    return run(scenario, scheduler="exhaustive", max_executions=most, explain=False), found


LOCK = [
    "LockNotAvailable",
    "55P03",
    "canceling statement due to lock timeout",
    "ERROR",
    "canceling statement due to lock timeout",
]
STATEMENT = [
    "QueryCanceled", "57014", "canceling statement due to statement timeout", "ERROR",
    "canceling statement due to statement timeout",
]  # fmt: skip
WAYS: dict[str, tuple[Callable[[Any], Any], Sequence[str] | None]] = {
    "SET": (waits("SET lock_timeout = '20ms'"), LOCK),
    "SET in a transaction": (waits("BEGIN", "SET statement_timeout = 20", "COMMIT"), STATEMENT),
    "SET LOCAL": (waits("BEGIN", "SET LOCAL lock_timeout = 20"), LOCK),
    "SET LOCAL before": (waits("BEGIN", "SET LOCAL lock_timeout = 20", "COMMIT"), None),
    "undone": (waits("BEGIN", "SET lock_timeout = 20", "ROLLBACK"), None),
    "undone in part": (waits("BEGIN", "SAVEPOINT s", "SET lock_timeout = 20", "ROLLBACK TO s"), None),
    "set_config": (waits("SELECT set_config('lock_timeout', '20', false)"), LOCK),
    "options": (waits(options="-c lock_timeout=20"), LOCK),
    "a role's": (waits(user="hasty"), LOCK),
    "the shorter one": (waits("SET lock_timeout = '20ms'", "SET statement_timeout = 10"), STATEMENT),
    "asyncpg": (waits_by_asyncpg("SET lock_timeout = '20ms'"), ["LockNotAvailableError", *LOCK[1:]]),
    "asyncpg's settings": (waits_by_asyncpg(statement_timeout="20"), ["QueryCanceledError", *STATEMENT[1:]]),
}


@needs_server
@pytest.mark.forks
@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_time_out_passes_when_virtual_time_passes_it(way: str) -> None:
    """With the error that the server gives; where nobody sleeps it never does, however long that takes in reality."""
    wait, error = WAYS[way]
    result, found = told(wait, 1.0)
    assert result.verdict is Verdict.VALID, result
    assert found == ({"ok", str(error)} if error else {"ok"})
    result, found = told(wait, 0.0)
    assert (result.verdict, found) == (Verdict.VALID, {"ok"}), result


@needs_server
@pytest.mark.forks
@pytest.mark.parametrize(
    ("wait", "seconds", "why"),
    [
        (waits(does="SELECT hasty()"), 0.0, "passed in real time"),
        (waits("BEGIN", "SET LOCAL transaction_timeout = 20"), 1.0, "transaction_timeout"),
    ],
)
def test_a_time_out_that_is_not_explored_makes_the_verdict_unknown(wait: Any, seconds: float, why: str) -> None:
    """One that a function sets for itself, one that ends the session."""
    result, _ = told(wait, seconds)
    assert result.verdict is Verdict.UNKNOWN, result
    assert why in " ".join(result.reasons)
