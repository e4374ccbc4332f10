"""Keeps one exploration on one core: only one of its processes runs at any time, so handing over stays cheap."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["pinned"]

_MOST_LAYERS = 64
"""Explorations on one core that are told apart: where there are more of them than cores, they are spread evenly."""


@contextmanager
def pinned() -> Iterator[int | None]:
    """Pin this process, and what it forks, to a core that fewest other explorations of this machine use: none, if there is one.

    Yields the core, or None where pinning is not permitted. The claim is an abstract socket: it leaves no file, and
    ends with the process.
    """
    allowed = os.sched_getaffinity(0)
    claim, core = _claim(sorted(allowed, reverse=True))
    try:
        os.sched_setaffinity(0, {core})
    except OSError:
        claim.close()
        yield None
        return
    try:
        yield core
    finally:
        with suppress(OSError):
            os.sched_setaffinity(0, allowed)
        claim.close()


def _claim(cores: list[int]) -> tuple[socket.socket, int]:
    """Return a claim to the core with the fewest claims, and that core."""
    for layer in range(_MOST_LAYERS):
        for core in cores:
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                claim.bind(f"\0race-harness-core-{core}-{layer}")
            except OSError:
                claim.close()
            else:
                return claim, core
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), cores[os.getpid() % len(cores)]
