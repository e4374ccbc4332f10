"""Processes that the code under test starts: left alone, and named.

A program that is run in one (``subprocess``) is noted. A fork of the worker itself could do to the shared state what it
likes, unseen, so nothing can be said of such an execution; and it must not talk to the controller in its parent's name.
Nor can anything be said where processes talk over pipes of ``multiprocessing`` (its queues, managers, pools do).
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
    start = subprocess.Popen.__init__

    @wraps(start)
    def noted(self: Any, *args: Any, **options: Any) -> None:
        if runtime.controlled:
            place = where(2)
            at = f" at {os.path.basename(place[0])}:{place[1]}" if place is not None else ""
            runtime.news.append(("note", f"a program run in a process of its own{at}"))
        start(self, *args, **options)

    subprocess.Popen.__init__ = noted  # type: ignore[method-assign]
    for package in PACKAGES:
        connections: Any = sys.modules.get(f"{package}.connection")
        if connections is not None:
            for name in _TALK:
                _name(runtime, connections._ConnectionBase, name)


_TALK = ("send", "send_bytes", "recv", "recv_bytes", "recv_bytes_into", "poll")


def _name(runtime: Runtime, kind: Any, name: str) -> None:
    """Have the method *name* of the connections of *kind* be named before it runs: it may wait for ever."""
    original = getattr(kind, name)

    @wraps(original)
    def named(self: Any, *args: Any, **options: Any) -> Any:
        if runtime.controlled and runtime.strand() is not None:
            text = f"{name} on a pipe of multiprocessing (a Queue, Pipe, Manager or Pool)"
            runtime.news.append(("outside", text))
            runtime.park("pipe", text, "", where(2))
        return original(self, *args, **options)

    setattr(kind, name, named)
