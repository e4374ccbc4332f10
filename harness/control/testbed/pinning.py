"""Pins an exploration to one core: only one of its processes runs at any time, and hand-overs on one core are cheap."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["pinned"]

_MOST_LAYERS = 64
"""Most claims on one core. Where there are more explorations than cores, they are spread evenly up to this."""


@contextmanager
def pinned() -> Iterator[int | None]:
    """Pin this process, and those it forks, to a core that the fewest other explorations on this machine use.

    Yields the core, or None where pinning is not permitted. The claim on the core is an abstract socket: it leaves no
    file, and ends with the process.
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
