"""Names uncontrolled waits at run time, so that nothing is claimed of them.

If processes talk over pipes of ``multiprocessing`` (as its queues, managers and pools do), or a task waits for a socket
or process of asyncio, the verdict is unknown. ``sockets.py`` reports plain sockets.
"""

from __future__ import annotations

import asyncio
import sys
from functools import wraps
from typing import Any, NoReturn

from harness.boundary import messages
from harness.boundary.inherited_locks import PACKAGES
from harness.worker.runtime import Runtime
from harness.worker.source import where

__all__ = ["name_it", "refuse"]

_TALK = ("send", "send_bytes", "recv", "recv_bytes", "recv_bytes_into", "poll")
_OF_LOOP = (
    "create_server", "create_unix_server", "create_datagram_endpoint",
    "connect_accepted_socket", "start_tls", "sendfile", "sock_recv", "sock_recv_into", "sock_recvfrom", "sock_sendall",
    "sock_sendto", "sock_connect", "sock_accept", "sock_sendfile", "add_reader", "add_writer", "connect_read_pipe",
    "connect_write_pipe", "subprocess_exec", "subprocess_shell",
)  # fmt: skip


def name_it(runtime: Runtime) -> None:
    """Have all of it be named from now on."""
    for package in PACKAGES:
        connections: Any = sys.modules.get(f"{package}.connection")
        if connections is not None:
            for name in _TALK:
                _name(runtime, connections._ConnectionBase, name)


def _name(runtime: Runtime, kind: Any, name: str) -> None:
    """Have the method *name* of the connections of *kind* be named before it runs: it may wait for ever."""
    original = getattr(kind, name)

    @wraps(original)
    def named(self: Any, *args: Any, **options: Any) -> Any:
        if runtime.controlled and runtime.strand() is not None:
            text = f"{name} on a pipe of multiprocessing (a Queue, Pipe, Manager or Pool)"
            runtime.news.append(messages.outside(text, "pipe:multiprocessing"))
            runtime.park("pipe", text, "", where(2))
        return original(self, *args, **options)

    setattr(kind, name, named)


def refuse(loop: type[asyncio.BaseEventLoop], runtime: Runtime) -> None:
    """Have the methods of *loop* that wait for sockets, pipes and processes say that they can't be had."""
    for name in _OF_LOOP:
        setattr(loop, name, _refusal(runtime, name))
    runtime.dial = _refusal(runtime, "create_connection")
    loop.add_signal_handler = lambda *_: None  # type: ignore[method-assign]  # no signal comes
    loop.remove_signal_handler = lambda *_: False  # type: ignore[method-assign]


def _refusal(runtime: Runtime, name: str) -> Any:
    def refuse(_: asyncio.AbstractEventLoop, *_args: Any, **_options: Any) -> NoReturn:
        text = f"{name} of asyncio (a socket, pipe or process that a task waits for)"
        if runtime.controlled:
            runtime.news.append(messages.outside(text, ""))
        raise NotImplementedError(
            f"The event loop of the harness has no {text}: no schedule could decide when something comes. Give the code "
            "under test a stand-in for the other end, or declare a schedule point around that call."
        )

    return refuse
