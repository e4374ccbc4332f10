"""Processes that the code under test forks off itself: named, and kept from talking to the controller in its parent's name.

Programs that are run (``subprocess``) are told by the audit hook.
"""

from __future__ import annotations

import os
import sys
from functools import wraps
from typing import Any, NoReturn

from harness.boundary.inherited_locks import PACKAGES
from harness.boundary.wire import Peer
from harness.worker.instrument.uncontrolled.outside import Outside
from harness.worker.runtime import Runtime

__all__ = ["watch"]


class _Mute(Peer):
    """The peer of a forked child: it ends the child when that would talk to the controller."""

    def __init__(self) -> None:
        super().__init__(-1, -1)

    def send(self, message: Any) -> NoReturn:
        """End this process."""
        os._exit(0)

    def receive(self) -> NoReturn:
        """End this process."""
        os._exit(0)


def watch(runtime: Runtime, outside: Outside) -> None:
    """Report from now on the processes that this one forks."""

    def in_child() -> None:
        runtime.peer = _Mute()
        runtime.controlled = runtime.aborting = False

    def in_parent() -> None:
        if runtime.controlled:
            outside.tell("process:fork", "forked off a process (os.fork), which goes on by itself")

    os.register_at_fork(after_in_child=in_child, after_in_parent=in_parent)
    for package in PACKAGES:
        if (util := sys.modules.get(f"{package}.util")) is not None:
            _tell(util, outside)


def _tell(util: Any, outside: Outside) -> None:
    """Have the interpreter be told that ``multiprocessing`` starts for a process of its own (``spawn``)."""
    start = util.spawnv_passfds

    @wraps(start)
    def told(*args: Any, **options: Any) -> Any:
        # The tracker only removes what is left over when all have ended.
        if outside.listens and "resource_tracker" not in sys._getframe(1).f_code.co_filename:
            outside.tell("process:python", "started a process of multiprocessing")
        return start(*args, **options)

    util.spawnv_passfds = told
