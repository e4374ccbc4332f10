"""The clocks of two machines differ: what tells the time of day does, and nothing else."""

from __future__ import annotations

import datetime
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.boundary.epoch import EPOCH
from harness.control.repeating.replays import replay
from harness.errors import BadInput
from harness.faults import Faults
from harness.reports.text.transcript import transcript
from harness.saved.counterexample import Counterexample, load, save
from harness.scenario import Call, Check, Client, Workload
from harness.verdict import Verdict
from tests.harness.counter import explored, raced

AHEAD = 90.0


def tells(db: Path) -> list[float]:
    """What each clock says, beyond what a monotonic one does; how long a second takes."""
    since = time.monotonic()
    time.sleep(1)
    with closing(sqlite3.connect(db)) as connection:
        (in_sqlite,) = connection.execute("SELECT strftime('%s', 'now')").fetchone()
    ways = (
        time.time(),
        time.time_ns() / 1e9,
        time.clock_gettime(time.CLOCK_REALTIME),
        datetime.datetime.now(datetime.UTC).timestamp(),
        float(in_sqlite),
    )
    lasted = time.monotonic() - since
    return [*(round(way - time.monotonic() - EPOCH, 3) for way in ways), round(lasted, 3)]


def as_it_should(history: Any, _: Any) -> None:
    """Worker 1 is ahead, before it was killed and after; worker 0 is right, and a second is a second to both."""
    told = [(outcome.worker, outcome.value) for outcome in history.outcomes() if outcome.ok]
    assert all(value == [AHEAD * worker] * 5 + [1.0] for worker, value in told), told


def late(history: Any, _: Any) -> None:
    """A rule that breaks where worker 1 is ahead."""
    assert not any(outcome.ok and outcome.value[0] for outcome in history.outcomes()), "some clock is wrong"


CLOCKS = raced(
    tells,
    workload=lambda _: Workload((Client((Call("op0", (), 0),)), Client((Call("op0", (), 1), Call("op0", (), 1)))), 2),
    skew=(0, AHEAD),
    delays=0,  # or a sleep lasts longer than its second, where its worker is held up
    postconditions=(Check("clocks", as_it_should),),
)


@pytest.mark.forks
def test_a_clock_that_is_ahead_is_so_by_every_way_to_ask() -> None:
    """But the monotonic one; and it belongs to the machine, so a worker that replaces a killed one has it too."""
    result = explored(replace(CLOCKS, faults=Faults(kill=True, most=1)), scheduler="exhaustive", max_executions=60)
    assert result.verdict is not Verdict.INVALID, result.counterexample and result.counterexample.failure
    assert result.executions > 10


@pytest.mark.forks
def test_a_counterexample_has_the_clocks_that_it_was_found_with(tmp_path: Path) -> None:
    """They are saved, shown, and set again for a replay, whatever the scenario says by then."""
    result = explored(replace(CLOCKS, postconditions=(Check("right", late),)), max_executions=3, explain=False)
    found = load(save(Counterexample.of(result), tmp_path))
    assert found.skew == (0.0, AHEAD)
    shown = transcript(found, width=200)
    assert "counter: 2 workers, the clock of worker 1 90 s ahead" in shown
    later = replace(CLOCKS, postconditions=(Check("right", late),), skew=())
    assert replay(later, found).failed_again == 1
    assert replay(later, replace(found, skew=())).verdict is not Verdict.INVALID


@pytest.mark.parametrize("skew", [6.0, (0.0, "6"), (0.0, float("nan")), (True,), (0.0, 2e9), (0.0, 0.0, 1.0)])
def test_what_is_no_skew_is_refused(skew: Any) -> None:
    """With what it should be."""
    with pytest.raises(BadInput, match=r"a 'skew' that can't be: .*\(0.0, 6.0\) has the clock of worker 1"):
        replace(CLOCKS, skew=skew)
