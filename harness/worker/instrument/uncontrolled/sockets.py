"""Sockets that the code under test uses: told by the address of the other end."""

from __future__ import annotations

import os
import socket
import sys
from functools import wraps
from typing import Any

from harness.worker.instrument.uncontrolled.outside import Outside

__all__ = ["install"]

_TO_AN_ADDRESS = {
    "connect": "connected a socket to",
    "connect_ex": "connected a socket to",
    "bind": "bound a socket to",
}
_TO_ANY = ("sendto", "sendmsg")
_OVER = (
    "send",
    "sendall",
    "recv",
    "recv_into",
    "recvfrom",
    "recvfrom_into",
    "recvmsg",
    "recvmsg_into",
    "sendfile",
    "accept",
)
_OF_TLS = ("read", "write")
_HARNESS = __file__.rpartition("/worker/")[0]


def install(outside: Outside) -> None:
    """Have the methods of ``socket.socket`` tell *outside* from now on."""
    inherited = {each for fd in os.listdir("/proc/self/fd") if (each := _number(int(fd)))}
    for name, text in _TO_AN_ADDRESS.items():
        _wrap(socket.socket, name, outside, inherited, text)
    for name in (*_TO_ANY, *_OVER):
        _wrap(socket.socket, name, outside, inherited, "")
    if (ssl := sys.modules.get("ssl")) is not None:
        for name in _OF_TLS:
            _wrap(ssl.SSLSocket, name, outside, inherited, "")


def _wrap(kind: Any, name: str, outside: Outside, inherited: set[str], text: str) -> None:
    original = getattr(kind, name)
    at_address, to_any = bool(text), name in _TO_ANY

    @wraps(original)
    def told(self: Any, *args: Any, **options: Any) -> Any:
        if outside.listens and not sys._getframe(1).f_code.co_filename.startswith(_HARNESS):
            address = args[0] if at_address and args else args[-1] if to_any and len(args) > 1 else None
            if to_any and not isinstance(address, (tuple, str)):
                address = None
            where = _known(self.family, address) if address is not None else _other_end(self, inherited)
            if where:
                outside.tell(f"socket:{where}", f"{text or f'used a socket ({name}) to'} {where}")
        return original(self, *args, **options)

    setattr(kind, name, told)


def _other_end(end: socket.socket, inherited: set[str]) -> str:
    """Return the address at the other end of *end*, or its own; empty for a pair of sockets inside this process."""
    for ask in (end.getpeername, end.getsockname):
        try:
            found = _known(end.family, ask())
        except OSError:
            continue
        if found:
            return found
    try:
        return "(a pair made before)" if _number(end.fileno()) in inherited else ""
    except OSError:
        return ""


def _known(family: int, address: Any) -> str:
    """Return *address* as text, empty where it is none."""
    if isinstance(address, bytes):
        address = address.decode(errors="replace")
    if isinstance(address, str):
        return f"@{address[1:]}" if address.startswith("\0") else address
    if family == socket.AF_INET6 and isinstance(address, tuple):
        return f"[{address[0]}]:{address[1]}"
    if isinstance(address, tuple) and len(address) >= 2:
        return f"{address[0]}:{address[1]}"
    return str(address) if address else ""


def _number(descriptor: int) -> str:
    """Return a text that identifies the socket behind *descriptor*, or an empty string."""
    try:
        found = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""
    return found if found.startswith("socket:") else ""
