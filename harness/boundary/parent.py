"""Has this process end when the one that started it is gone, however that went."""

from __future__ import annotations

import ctypes
import os
import signal

__all__ = ["die_with"]

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have the kernel kill this process when *parent*, the process that started it, ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # It was gone before the kernel could be told.
        os.kill(os.getpid(), signal.SIGKILL)
