"""An explorer: a process with a testbed of its own that runs the executions it is given, one at a time."""

from __future__ import annotations

import os
import pickle
import signal
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from harness import errors
from harness.boundary.parent import die_with
from harness.boundary.wire import Peer, PeerGone
from harness.control.sharding.executor import Departed
from harness.control.sharding.parcels import Ran, packed
from harness.control.testbed.testbed import Testbed, open_testbed
from harness.errors import Diverged, HarnessError
from harness.scenario import Scenario, Workload
from harness.schedulers.base import Scheduler
from harness.schedulers.tree.branches import Branch, Excursion

__all__ = ["DIVERGED", "RAN", "READY", "Setting", "leave", "perform", "serve", "told", "trouble"]

READY, RAN = "ready", "ran"
"""The kinds of an explorer's messages: before the first execution, and with the result of each."""

BUG, DIVERGED = "bug", "diverged"
"""The kinds of message of an explorer that failed, beside a user's errors, which go by the name of their class."""


class Setting(NamedTuple):
    """The parameters of an explorer's testbed, named as those of ``open_testbed`` and ``run``."""

    scenario: Scenario
    workers: int
    seed: int = 0
    isolation: str | None = None
    patience: float | None = None
    outcomes: bool = False


def perform(stage: Testbed, workload: Workload, data: bytes) -> Ran:
    """Run the execution that *data*, a pickled task, stands for; return it with its findings."""
    task: Branch | Scheduler = pickle.loads(data)
    scheduler = Excursion(task) if isinstance(task, Branch) else task
    execution = stage.driver.run(scheduler, workload)
    return Ran(execution, scheduler.findings(execution) if isinstance(scheduler, Excursion) else None)


def told(error: Exception) -> tuple[str, str]:
    """Return *error*, which ended an explorer, as a kind and a value.

    To be called while the error is handled, for the traceback is that of the moment.
    """
    if isinstance(error, Diverged):
        return DIVERGED, str(error)
    if isinstance(error, HarnessError):
        return type(error).__name__, str(error)
    return BUG, traceback.format_exc()


def trouble(kind: str, value: str, who: str) -> Exception:
    """Return the exception to raise for the error that ended an explorer.

    ``told`` made *kind* and *value* of that error; *who* names the explorer.
    """
    if kind == DIVERGED:
        return Departed(value)
    if kind == BUG:
        return RuntimeError(f"{who} failed:\n{value}")
    # A ``ServerSaid`` has no class there: a database server refused something that the harness asked of it.
    error: Exception = getattr(errors, kind, HarnessError)(value)
    return error


def serve(orders: Peer, setting: Setting, parent: int, *, unneeded: Sequence[int]) -> None:
    """Run the tasks that come from *orders*, until its other end is closed.

    *parent* is the process that started this one; this one ends with it. *unneeded* are the other processes' ends of
    pipes, which this one closes.
    """
    die_with(parent)
    # Ctrl-C reaches every process of the terminal; only the one that deals acts on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, leave)
    for end in unneeded:
        os.close(end)
    with suppress(PeerGone, BrokenPipeError):
        try:
            _explore(orders, setting)
        except (PeerGone, BrokenPipeError):
            raise
        except Exception as error:
            orders.send(told(error))


def leave(*_: object) -> None:
    """Exit in an orderly way, and ignore further SIGTERM: taking the testbed down must not be interrupted."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(0)


def _explore(orders: Peer, setting: Setting) -> None:
    scenario, workers = setting.scenario, setting.workers
    with open_testbed(
        scenario, workers, seed=setting.seed, isolation=setting.isolation, patience=setting.patience
    ) as stage:
        stage.driver.wants_outcomes = setting.outcomes
        workload = scenario.workload(workers)
        orders.send((READY, ""))
        while True:
            (data,) = orders.receive()
            orders.send((RAN, packed([perform(stage, workload, data)])))
