"""An explorer: a process with a theatre of its own that runs the executions it is given, one at a time."""

from __future__ import annotations

import os
import pickle
import signal
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from harness import errors
from harness.control.sharding.parcels import Ran, packed
from harness.control.theatre import Theatre, theatre
from harness.errors import Diverged, HarnessError
from harness.executor import Departed
from harness.parent import die_with
from harness.scenario import Scenario, Workload
from harness.schedulers.base import Scheduler
from harness.schedulers.branches import Branch, Excursion
from harness.wire import Peer, PeerGone

__all__ = ["DIVERGED", "RAN", "READY", "Setting", "leave", "perform", "serve", "told", "trouble"]

READY, RAN = "ready", "ran"
"""What an explorer says before the first execution, and with the answer to each."""

BUG, DIVERGED = "bug", "diverged"
"""What went wrong with an explorer, beside the errors of a user, which go by the name of their class."""


class Setting(NamedTuple):
    """What an explorer sets up its theatre with; the names are ``theatre``'s and ``run``'s."""

    scenario: Scenario
    workers: int
    seed: int = 0
    isolation: str | None = None
    patience: float | None = None
    outcomes: bool = False


def perform(stage: Theatre, workload: Workload, data: bytes) -> Ran:
    """Run the execution that *data* tells, a pickled task; return what came of it."""
    task: Branch | Scheduler = pickle.loads(data)
    scheduler = Excursion(task) if isinstance(task, Branch) else task
    execution = stage.driver.run(scheduler, workload)
    return Ran(execution, scheduler.findings(execution) if isinstance(scheduler, Excursion) else None)


def told(error: Exception) -> tuple[str, str]:
    """Return *error*, which ended an explorer, as plain data. To be called where it is handled."""
    if isinstance(error, Diverged):
        return DIVERGED, str(error)
    if isinstance(error, HarnessError):
        return type(error).__name__, str(error)
    return BUG, traceback.format_exc()


def trouble(kind: str, value: str, who: str) -> Exception:
    """Return what to raise for what *who*, an explorer, ended with: ``told`` made *kind* and *value* of it."""
    if kind == DIVERGED:
        return Departed(value)
    if kind == BUG:
        return RuntimeError(f"{who} failed:\n{value}")
    # What is no error of a user's has no class there: the server refused what the harness asked of it.
    error: Exception = getattr(errors, kind, HarnessError)(value)
    return error


def serve(orders: Peer, setting: Setting, parent: int, unneeded: Sequence[int]) -> None:
    """Run what comes from *orders*, until nobody is there to send more.

    *parent* is the process that started this one, which ends with it; *unneeded* are the others' ends of pipes.
    """
    die_with(parent)
    # Ctrl-C reaches every process of the terminal; what becomes of it is decided by the one that deals.
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
    """Leave in an orderly way, once: what is being taken down must not be interrupted."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(0)


def _explore(orders: Peer, setting: Setting) -> None:
    scenario, workers = setting.scenario, setting.workers
    with theatre(scenario, workers, seed=setting.seed, isolation=setting.isolation, patience=setting.patience) as stage:
        stage.driver.wants_outcomes = setting.outcomes
        workload = scenario.workload(workers)
        orders.send((READY, ""))
        while True:
            (data,) = orders.receive()
            orders.send((RAN, packed([perform(stage, workload, data)])))
