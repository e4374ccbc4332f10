"""The flight recorder: the steps that a worker made since its last report, in memory that outlives the worker.

A worker that goes on without asking reports the points that it passed only afterwards. If it is killed before, this
memory alone shows how far it had come. It is written without a system call and read only after a death.
"""

from __future__ import annotations

import marshal
import mmap
from typing import Any, NamedTuple

from harness.boundary.wire import Peer

__all__ = ["End", "FlightRecorder"]

_SIZE = 1 << 20


class FlightRecorder:
    """A shared memory of records. Made before the fork; one process writes, another reads when that one is dead."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SIZE)
        self._end = 4

    def clear(self) -> None:
        """Forget all records."""
        self._memory[:4] = bytes(4)
        self._end = 4

    def add(self, record: tuple[Any, ...]) -> bool:
        """Append *record*, plain data; return False if there is no room."""
        data = marshal.dumps(record)
        end = self._end + 4 + len(data)
        if end > _SIZE:
            return False
        self._memory[self._end : end] = len(data).to_bytes(4, "little") + data
        self._end = end
        # Last, so that a record half written is not read.
        self._memory[:4] = end.to_bytes(4, "little")
        return True

    def records(self) -> list[tuple[Any, ...]]:
        """Return the records since the last ``clear``."""
        found, at, end = [], 4, int.from_bytes(self._memory[:4], "little")
        while at < end:
            size = int.from_bytes(self._memory[at : at + 4], "little")
            found.append(marshal.loads(self._memory[at + 4 : at + 4 + size]))
            at += 4 + size
        return found


class End(NamedTuple):
    """The connection of a worker: its pipes, a file for its stacks, and its flight recorder."""

    peer: Peer
    stacks: int
    trail: FlightRecorder
