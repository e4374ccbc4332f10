"""What `test_cluster` races: scenarios with names that a node finds them by."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from harness.faults import Faults
from harness.scenario import Check
from tests.harness.counter import counts_to, raced
from tests.harness.sync_programs import autocommit, autocommit_in_one


def dies_on_nodes(db: Path) -> None:
    """Kill the explorer that asks, if it is one of a node."""
    if b"harness.cluster.outpost" in Path("/proc/self/cmdline").read_bytes():
        os.kill(os.getpid(), signal.SIGKILL)


def no_room_on_nodes(db: Path) -> None:
    """Set nothing up."""
    raise RuntimeError("no room")


COUNTER = raced(autocommit, faults=Faults(kill=True, most=1))
QUIET = raced(autocommit)
FAILS = raced(autocommit, at_end=(counts_to(2),))
DIES = raced(autocommit_in_one, at_end=(Check("nobody dies", dies_on_nodes),))
BROKEN = raced(autocommit, setup=no_room_on_nodes)
