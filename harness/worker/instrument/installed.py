"""The list of all controlled resources, in the order in which they are installed and begin.

Where two replace the same function, the later one counts: declared points give way to threads, sessions, locks between
processes and process ids. Time comes last, because a session that begins may still look at the clock.
"""

from __future__ import annotations

from typing import NamedTuple

from harness.boundary.inherited_locks import Common
from harness.scenario import Scenario
from harness.worker.instrument.files.resource import SharedFiles
from harness.worker.instrument.points.resource import DeclaredPoints
from harness.worker.instrument.postgresql.resource import Postgresql
from harness.worker.instrument.processes.resource import LocksBetweenProcesses, VirtualIds
from harness.worker.instrument.resource import Resource
from harness.worker.instrument.sqlite.resource import Sqlite
from harness.worker.instrument.threads.resource import WorkerThreads
from harness.worker.instrument.uncontrolled.resource import Uncontrolled
from harness.worker.runtime import Runtime
from harness.worker.virtual.clock import Clock
from harness.worker.virtual.randomness import Randomness
from harness.worker.virtual.resource import Chance, EventLoop, Time
from harness.worker.virtual.sleep import sleeper

__all__ = ["Context", "resources"]


class Context(NamedTuple):
    """All that resources are made of."""

    runtime: Runtime
    clock: Clock
    randomness: Randomness
    scenario: Scenario
    common: Common


def resources(context: Context) -> tuple[Resource, ...]:
    """Return every controlled resource, made and connected, in the order of installation."""
    runtime, clock, randomness, scenario, common = context
    uncontrolled = Uncontrolled(runtime)
    sqlite, files = Sqlite(runtime, clock, randomness), SharedFiles(runtime)
    files.files.shared.elsewhere = uncontrolled.outside.looked_at
    sleep = sleeper(runtime)
    sqlite.connect(files.files, sleep)
    return (
        uncontrolled,
        Chance(randomness),
        sqlite,
        files,
        EventLoop(runtime),
        DeclaredPoints(runtime, scenario.points),
        WorkerThreads(runtime),
        Postgresql(runtime, clock),
        LocksBetweenProcesses(runtime, common.inherited, scenario.operations),
        VirtualIds(runtime, common.ids),
        Time(runtime, clock, sleep),
    )
