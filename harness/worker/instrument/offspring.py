"""Processes that the code under test starts: left alone, and named.

A program that is run in one (``subprocess``) is noted. A fork of the worker itself could do to the shared state what it
likes, unseen, so nothing can be said of such an execution; and it must not talk to the controller in its parent's name.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import wraps
from typing import Any, NoReturn

from harness.inherited import PACKAGES
from harness.wire import Peer
from harness.worker.runtime import Runtime
from harness.worker.source import where

__all__ = ["watch"]


class _Mute(Peer):
    """In a forked child: what comes to speak with the controller has come to its end."""

    def __init__(self) -> None:
        super().__init__(-1, -1)

    def send(self, message: Any) -> NoReturn:
        """End this process."""
        os._exit(0)

    def receive(self) -> NoReturn:
        """End this process."""
        os._exit(0)


def watch(runtime: Runtime) -> None:
    """Notice from now on what processes this one starts."""

    def in_child() -> None:
        runtime.peer = _Mute()
        runtime.controlled = runtime.aborting = False

    def in_parent() -> None:
        if runtime.controlled:
            runtime.news.append(("outside", "a process that it forked itself (os.fork)"))

    os.register_at_fork(after_in_child=in_child, after_in_parent=in_parent)
    _note(runtime, subprocess.Popen, "__init__")
    for name in ("system", "posix_spawn", "posix_spawnp"):
        _note(runtime, os, name)
    for package in PACKAGES:
        if (util := sys.modules.get(f"{package}.util")) is not None:
            _note(runtime, util, "spawnv_passfds")


def _note(runtime: Runtime, owner: Any, name: str) -> None:
    """Have the use of *name* of *owner*, which runs a program, be noted."""
    start = getattr(owner, name)

    @wraps(start)
    def noted(*args: Any, **options: Any) -> Any:
        if runtime.controlled:
            place = where(2)
            at = f" at {os.path.basename(place[0])}:{place[1]}" if place is not None else ""
            runtime.news.append(("note", f"a program run in a process of its own{at}"))
        return start(*args, **options)

    setattr(owner, name, noted)
