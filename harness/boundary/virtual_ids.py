"""Which process of an exploration has which virtual process id, in memory that all of them share.

A real id is another one in each run, so code that stores it or branches on it would not repeat itself. A virtual one says
which worker it is, and how many before it were killed in this execution. It is larger than any real one, so that none is
taken for the other.
"""

from __future__ import annotations

import mmap
import struct

__all__ = ["PARENT", "SETUP", "ProcessIds"]

PARENT = 5_000_000
"""The virtual id of a worker's parent process: Linux gives no id above 4,194,304."""

SETUP = PARENT + 999
"""The id of the process that runs ``setup``."""

_EACH = 1_000
"""So much larger is the id of a process that takes the place of one that was killed."""

_ENTRY = struct.Struct("ii")


class ProcessIds:
    """A table of the real ids of *processes* numbered processes, and of how many before them were killed in this execution."""

    def __init__(self, processes: int) -> None:
        self._table = mmap.mmap(-1, processes * _ENTRY.size)
        self._processes = processes

    def __repr__(self) -> str:
        return f"<ProcessIds {[self.of(number) for number in range(self._processes)]}>"

    def _get(self, number: int) -> tuple[int, int]:
        real, killed = _ENTRY.unpack_from(self._table, number * _ENTRY.size)
        return real, killed

    def begin(self) -> None:
        """An execution begins: nobody has been killed in it."""
        for number in range(self._processes):
            _ENTRY.pack_into(self._table, number * _ENTRY.size, self._get(number)[0], 0)

    def killed(self, number: int) -> None:
        """Process *number* is dead, and another will take its place."""
        real, before = self._get(number)
        _ENTRY.pack_into(self._table, number * _ENTRY.size, real, before + 1)

    def forked(self, number: int, real: int) -> None:
        """Process *number* is now the one with the id *real*."""
        _ENTRY.pack_into(self._table, number * _ENTRY.size, real, self._get(number)[1])

    def of(self, number: int) -> int:
        """Return the virtual id of process *number*."""
        return PARENT + 1 + number + self._get(number)[1] * _EACH

    def living(self) -> dict[int, int]:
        """Return the virtual ids of the processes by their real ones."""
        found = {self._get(number)[0]: self.of(number) for number in range(self._processes)}
        found.pop(0, None)
        return found

    def number_of(self, virtual: int) -> int | None:
        """Return the number of the process that has, or had, the id *virtual*; None if none could."""
        number = (virtual - PARENT) % _EACH - 1
        return number if virtual > PARENT and 0 <= number < self._processes else None

    def real(self, virtual: int) -> int | None:
        """Return the real id of the living process with the id *virtual*, or None."""
        number = self.number_of(virtual)
        return self._get(number)[0] if number is not None and self.of(number) == virtual else None
