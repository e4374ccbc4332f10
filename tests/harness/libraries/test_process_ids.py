"""Process ids: the same in each run, different for each worker, and good for what they are used for."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from os import getpid
from pathlib import Path

import psutil
import pytest

from harness.boundary.virtual_ids import PARENT, SETUP
from harness.faults import Faults
from harness.scenario import Call, Check, Client, Workload
from harness.values.history import History
from harness.verdict import Verdict
from tests.harness.counter import counts_to, explored, prepared, raced
from tests.harness.libraries.judging import found_and_replayed
from tests.harness.sync_programs import READ, plainly

pytestmark = pytest.mark.forks


def signs(db: Path) -> None:
    """Write who it was that counted, into the statement too."""
    with plainly(db) as connection:
        (n,) = connection.execute(READ).fetchone()
        connection.execute(f"UPDATE t SET n = {n} + 1 /* by {os.getpid()} */ WHERE k = 1")
        connection.execute("INSERT INTO t (n) VALUES (?)", (getpid(),))


def test_code_that_stores_its_process_id_repeats_itself() -> None:
    """Its race is found, and replayed by other processes."""
    by = [PARENT + 1, PARENT + 2]

    def both_signed(db: Path) -> None:
        with plainly(db) as connection:
            signed = [n for (n,) in connection.execute("SELECT n FROM t WHERE k > 2 ORDER BY n")]
        assert signed == by, signed

    scenario = raced(signs, at_end=(Check("both signed", both_signed), counts_to(2)))
    assert found_and_replayed(scenario).rule == "every increment counts"


def asks(_: Path) -> list[int]:
    """Say by what each process is known, and who lives."""
    record = logging.LogRecord("n", 0, "p", 0, "m", None, None)
    return [os.getpid(), getpid(), os.getppid(), record.process or 0, multiprocessing.current_process().pid or 0]


def test_it_is_the_same_wherever_it_is_asked() -> None:
    """Under every name, in the log, and in ``setup`` another one; who takes the place of the dead has another one too."""
    told: set[tuple[int, ...]] = set()

    def note(history: History, _: Path) -> None:
        told.update(tuple(map(int, outcome.value)) for outcome in history.outcomes() if outcome.ok)

    def set_up(db: Path) -> None:
        assert os.getpid() == SETUP
        prepared()(db)

    twice = Workload((Client((Call("op0"), Call("op0"))),), 1)
    scenario = raced(
        asks, setup=set_up, workload=lambda _: twice, workers=1, faults=Faults(kill=True, most=1),
        postconditions=(Check("told", note),),
    )  # fmt: skip
    assert explored(scenario).verdict is Verdict.VALID
    assert told == {(pid, pid, PARENT, pid, pid) for pid in (PARENT + 1, PARENT + 1001)}


def takes_over(db: Path) -> str:
    """Count under a lock file that names its owner; take over the lock file of a dead one."""
    own, lock = db.with_name(f"lock.{os.getpid()}"), db.with_name("lock")
    own.write_text(str(os.getpid()))
    while True:
        try:
            os.link(own, lock)
            break
        except FileExistsError:
            time.sleep(0.1)
        try:
            os.kill(int(lock.read_text()), 0)
        except ProcessLookupError:
            lock.unlink()
        except FileNotFoundError:
            continue
    with plainly(db) as connection:
        connection.execute("UPDATE t SET n = n + 1 WHERE k = 1")
    lock.unlink()
    return "counted"


def test_who_has_died_is_seen_to_be_dead() -> None:
    """A lock file left by a killed worker is taken over, and one of a living worker is not."""
    counted = Check(
        "all who lived have counted",
        lambda history, _: all(each.value == "counted" for each in history.outcomes() if each.ok),
    )
    taken = Check("it was taken over", lambda _, steps: any(step.text == f"kill {PARENT + 1} 0" for step in steps))
    scenario = raced(
        takes_over,
        faults=Faults(kill=True, most=1),
        raising_fails=False,
        postconditions=(counted,),
        must_happen=(taken,),
    )
    result = explored(scenario, max_executions=60)
    assert result.verdict is Verdict.VALID, result.reasons or result.counterexample


def kills_itself(db: Path) -> None:
    """Die like a worker for which the system has no memory left."""
    with plainly(db) as connection:
        connection.execute("UPDATE t SET n = n + 1 WHERE k = 1")
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_signal_reaches_the_right_process() -> None:
    """Who kills itself dies, and the other goes on."""
    lives = lambda db: signs(db)  # noqa: E731
    told = Check(
        "one has died",
        lambda history, _: sorted(each.kind for each in history if each.kind != "invoke") == ["info", "ok"],
    )
    result = explored(raced([kills_itself, lives], postconditions=(told,)), max_executions=20)
    assert result.verdict is Verdict.VALID, result.reasons or result.counterexample


def looks_itself_up(db: Path) -> dict[str, object]:
    """Say what ``/proc`` says of this process, by its id and by name, and what libraries make of it."""
    pid = os.getpid()
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    first = os.read(descriptor, 7).decode()
    os.close(descriptor)
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        command = file.read()
    return {
        "there": [os.path.exists(f"/proc/{each}") for each in (pid, PARENT, SETUP, pid + 900, 4_999_999)],
        "ids": [stat[0].split()[0], *stat[2].split()[1:4], status["Pid"], status["Tgid"], status["PPid"], first],
        "started": stat[2].split()[19],
        "link": [os.readlink("/proc/self"), os.path.realpath("/proc/self")],
        "listed": [
            str(pid) in os.listdir("/proc"),
            "stat" in os.listdir(f"/proc/{pid}"),
            b"fd" in os.listdir(b"/proc/self"),
        ],
        "command": len(command) > 1,
        "groups": [os.getpgid(0), os.getpgrp(), os.getsid(pid), os.getpgid(pid)],
        "thread": threading.get_native_id() == pid == threading.main_thread().native_id or threading.get_native_id(),
        "psutil": [psutil.Process().pid, psutil.Process(pid).ppid(), psutil.pid_exists(pid), pid in psutil.pids()],
        "created": psutil.Process(pid).create_time() == psutil.Process().create_time(),
        "cores": len(os.sched_getaffinity(pid)) > 0,
    }


def test_proc_knows_it() -> None:
    """By its virtual id, and says nothing of its real one, so that it is the same in each run."""
    told: set[str] = set()
    note = Check("told", lambda history, _: told.update(repr(each.value) for each in history.outcomes() if each.ok))
    for _ in range(2):
        result = explored(raced(looks_itself_up, postconditions=(note,)), max_executions=4)
        assert result.verdict is Verdict.VALID, result.reasons or result.counterexample
    pid = PARENT + 1
    assert len(told) == 2, told
    (one,) = [value for value in map(eval, told) if value["groups"] and str(pid) == value["ids"][0]]
    assert one["there"] == [True, True, False, False, False]
    assert one["ids"] == [str(pid), *[str(PARENT)] * 3, str(pid), str(pid), str(PARENT), str(pid)]
    assert one["link"] == [str(pid), f"/proc/{pid}"]
    assert one["listed"] == [True] * 3
    assert one["groups"] == [PARENT] * 4
    assert one["thread"] is True
    assert one["psutil"] == [pid, PARENT, True, True]
    assert (one["command"], one["created"], one["cores"]) == (True, True, True)


def takes_over_by_proc(db: Path) -> str:
    """As ``takes_over``, by the look of ``/proc``."""
    own, lock = db.with_name(f"lock.{os.getpid()}"), db.with_name("lock")
    own.write_text(str(os.getpid()))
    while True:
        try:
            os.link(own, lock)
            break
        except FileExistsError:
            time.sleep(0.1)
        try:
            owner = lock.read_text()
            if not os.path.exists(f"/proc/{owner}"):
                lock.unlink()
        except FileNotFoundError:
            continue
    with plainly(db) as connection:
        connection.execute("UPDATE t SET n = n + 1 WHERE k = 1")
    lock.unlink()
    return "counted"


def test_who_has_died_is_not_in_proc() -> None:
    """A lock file that a dead worker has left is taken over, and one of a living worker is not."""
    counted = Check(
        "all who lived have counted",
        lambda history, _: all(each.value == "counted" for each in history.outcomes() if each.ok),
    )
    scenario = raced(
        takes_over_by_proc,
        faults=Faults(kill=True, most=1),
        postconditions=(counted,),
        must_happen=(Check("looked", lambda _, steps: any(f"/proc/{PARENT + 1}" in step.text for step in steps)),),
    )
    result = explored(scenario, max_executions=60)
    assert result.verdict is Verdict.VALID, result.reasons or result.counterexample
