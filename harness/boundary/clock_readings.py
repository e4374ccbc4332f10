"""How far readings of the clock have moved it on, in memory that the processes of an exploration share.

Two readings one after another differ by a microsecond, and on one machine a later reading is a later time. Each process counts
by itself; where a step touches something, its process first catches up with those that touched that before (and that conflict
with it), and leaves there how far it has come when the step ends. So a process that can know of a reading
reads a later time. The times read follow from the dependence of steps, and are equal in interleavings that the reduction takes
for equal.
"""

from __future__ import annotations

import mmap
from zlib import crc32

__all__ = ["Readings"]

_PROCESSES = 80
_SLOTS = 256
_BASE, _LATEST, _OF_PROCESSES = 0, 1, 2
_FIRST = _OF_PROCESSES + _PROCESSES
_CELL = 8


class Readings:
    """Clock readings in nanoseconds: the execution's base, the latest of all, and those of each process and resource."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, (_FIRST + 2 * _SLOTS) * _CELL)
        self._cells = memoryview(self._memory).cast("q")

    def __repr__(self) -> str:
        return f"<Readings latest={self.latest}>"

    @property
    def base(self) -> int:
        """How far ``setup`` came, and its sleeps: an execution begins after it."""
        return self._cells[_BASE]

    @base.setter
    def base(self, value: int) -> None:
        self._cells[_BASE] = value

    @property
    def latest(self) -> int:
        """The most that any process has come to."""
        return self._cells[_LATEST]

    def begin(self) -> None:
        """An execution begins."""
        self._memory[_OF_PROCESSES * _CELL :] = bytes((_FIRST + 2 * _SLOTS - _OF_PROCESSES) * _CELL)
        self._cells[_LATEST] = self._cells[_BASE]

    def of(self, process: int) -> int:
        """Return the reading from which *process* continues: its own latest, or the latest of all if it replaced another."""
        return max(self._cells[_BASE], self._cells[_OF_PROCESSES + process])

    def replaced(self, process: int) -> None:
        """*process* was killed, and another takes its place: that comes after all that was until now."""
        self._cells[_OF_PROCESSES + process] = self._cells[_LATEST]

    def digest(self) -> int:
        """Return a number that tells states with other readings apart."""
        return hash(self._memory[:])

    def slot(self, resource: str) -> int:
        """Return where *resource* is. Two may be in one place: then one waits for more than it need."""
        return _FIRST + 2 * (crc32(resource.encode()) % _SLOTS)

    def later(self, slot: int, mode: str) -> int:
        """Return how far on those are that met *slot* before and conflict with *mode*."""
        cells = self._cells
        if mode == "w":
            return max(cells[slot], cells[slot + 1])
        return cells[slot + 1] if mode == "o" else cells[slot]

    def leave(self, own: int, met: list[tuple[int, str]], process: int) -> None:
        """The step of *process* has ended, at *own*; it has *met* these slots, each in a mode."""
        cells = self._cells
        for slot, mode in met:
            place = slot if mode in ("w", "o") else slot + 1
            if own > cells[place]:
                cells[place] = own
        cells[_OF_PROCESSES + process] = own
        if own > cells[_LATEST]:
            cells[_LATEST] = own
