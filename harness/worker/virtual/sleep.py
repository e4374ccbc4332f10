"""``time.sleep`` in virtual time: a schedule point that can't be passed before the sleep has ended."""

from __future__ import annotations

from collections.abc import Callable

from harness.worker.controlled_threads import Wanted
from harness.worker.runtime import Runtime
from harness.worker.source import where

__all__ = ["sleeper"]


def sleeper(runtime: Runtime) -> Callable[[float], None]:
    """Return the function that replaces ``time.sleep`` in a worker."""

    def sleep(seconds: float, /) -> None:
        """Sleep for *seconds* of virtual time."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        strand = runtime.strand()
        if runtime.controlled and strand is not None:
            runtime.park("sleep", f"sleep {seconds:g} s", "", where(2), runtime.clock.tell() + seconds)
        elif runtime.begun and strand not in (None, runtime.home):
            # Before and after the race the main thread goes first, so the other threads wait.
            text, until = f"sleep {seconds:g} s", runtime.clock.tell() + seconds
            runtime.wait_for(Wanted(runtime.lane(), "sleep", text, where(2), "", until))
        elif not runtime.aborting:
            runtime.clock.now += seconds

    return sleep
