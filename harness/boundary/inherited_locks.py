"""Locks and memory of ``multiprocessing`` that workers inherit and share: each exploration has its own copies.

Locks, values and arrays that the code under test made before the fork exist in the user's process too, and in other
explorations. So each exploration has a board with the counts of the locks, in the place of their semaphores, and memory
at the same addresses as the original. Both are made before the fork server, which maps them and passes them on.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

from harness.boundary.clock_readings import Readings
from harness.boundary.virtual_ids import ProcessIds

__all__ = ["PACKAGES", "Common", "Inherited"]

PACKAGES = ("multiprocessing", "multiprocess")

_COUNT = 4
"""Bytes of a lock's count on the board."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
)  # fmt: skip
_FIXED = 0x10


class _Arena(NamedTuple):
    """A piece of memory in which ``multiprocessing`` has values: where it is mapped, and the file it is backed by."""

    kept: Any
    address: int
    size: int
    file: int


class Inherited:
    """The locks and the memory of one exploration (see the module's text); false where there is nothing of the kind."""

    _aside: ClassVar[dict[int, int]] = {}
    """How many explorations look through each arena of this process."""

    def __init__(self) -> None:
        self.locks = list(_locks())
        """Every lock, in the order of making."""
        self._arenas = list(_arenas())
        self.size = sum(arena.size for arena in self._arenas)
        """Bytes of shared memory."""
        self._board = mmap.mmap(-1, max(1, len(self.locks) * _COUNT))
        self._file, self._memory, self._before = -1, None, None
        if self.size:
            self._file = os.memfd_create("harness-inherited")
            os.ftruncate(self._file, self.size)
            self._memory = mmap.mmap(self._file, self.size)
            self._memory[:] = b"".join(os.pread(arena.file, arena.size, 0) for arena in self._arenas)
            self._before = mmap.mmap(-1, self.size + 1)
            self._look_aside()
        for number, lock in enumerate(self.locks):
            self.set(number, lock._semlock._get_value())
        self.take_template()

    def __repr__(self) -> str:
        return f"<Inherited locks={len(self.locks)} memory={self.size}>"

    def __bool__(self) -> bool:
        return bool(self.locks or self.size)

    # The counts of locks

    def count(self, number: int) -> int:
        """Return how often lock *number* can be taken now."""
        return int.from_bytes(self._board[number * _COUNT : (number + 1) * _COUNT], "little")

    def set(self, number: int, count: int) -> None:
        """Have lock *number* be there to be taken *count* times."""
        self._board[number * _COUNT : (number + 1) * _COUNT] = count.to_bytes(_COUNT, "little")

    # The memory

    def take_over(self) -> None:
        """In the fork server, map this memory at the original's addresses, so that values and arrays made before use it."""
        at = 0
        for arena in self._arenas:
            _map(arena, self._file, at)
            at += arena.size

    def changed(self) -> bool:
        """Return whether the memory has changed since this was last asked, by whatever process."""
        assert self._memory is not None
        assert self._before is not None
        now = self._memory[:]
        if now == self._before[: self.size]:
            return False
        self._before[: self.size] = now
        return True

    @property
    def is_used_freely(self) -> bool:
        """Whether some process has changed the memory without a lock, in this execution or an earlier one."""
        return self._before is not None and self._before[self.size] > 0

    def note_free_use(self) -> None:
        """Take note that one has."""
        assert self._before is not None
        self._before[self.size] = 1

    def read(self) -> bytes:
        """Return the current content of the memory."""
        return self._memory[:] if self._memory is not None else b""

    def show(self, memory: bytes) -> None:
        """Have checks that look at values in this process see *memory*, which ``read`` gave."""
        at = 0
        for arena in self._arenas:
            ctypes.memmove(arena.address, memory[at : at + arena.size], arena.size)
            at += arena.size

    def take_template(self) -> None:
        """Take the locks and the memory as they are for the state in which executions begin."""
        self._template = self._board[:], self.read()

    def reset(self) -> None:
        """Put both back as the template has them."""
        if not self:
            return
        self._board[:], memory = self._template
        if self._memory is not None and self._before is not None:
            self._memory[:] = self._before[: self.size] = memory

    # This process

    def _look_aside(self) -> None:
        """Map the values of this process to private memory, so that checks can be shown a copy and nobody else sees it."""
        for arena in self._arenas:
            before = self._aside.get(arena.address, 0)
            self._aside[arena.address] = before + 1
            if not before:
                _map(arena, -1, 0)
        self.show(self.read())

    def close(self) -> None:
        """Give this process its own values back."""
        for arena in self._arenas:
            self._aside[arena.address] -= 1
            if not self._aside[arena.address]:
                del self._aside[arena.address]
                _map(arena, arena.file, 0)
        self._arenas = []
        if self._memory is not None:
            self._memory.close()
            os.close(self._file)
            self._memory, self.size = None, 0
        self._board.close()


class Common(NamedTuple):
    """The memory that the processes of one exploration share."""

    inherited: Inherited
    ids: ProcessIds
    readings: Readings


def _map(arena: _Arena, file: int, offset: int) -> None:
    """Map *file* (or, for -1, memory of this process) where *arena* lies."""
    flags = (mmap.MAP_SHARED if file >= 0 else mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) | _FIXED
    found = _libc.mmap(arena.address, arena.size, mmap.PROT_READ | mmap.PROT_WRITE, flags, file, offset)
    if found != arena.address:
        raise OSError(ctypes.get_errno(), "the memory of multiprocessing's values could not be mapped")


def _locks() -> Iterator[Any]:
    for package in PACKAGES:
        util, synchronize = sys.modules.get(f"{package}.util"), sys.modules.get(f"{package}.synchronize")
        if util is not None and synchronize is not None:
            registered = sorted(util._afterfork_registry.items(), key=lambda item: item[0][0])
            yield from (value for _, value in registered if isinstance(value, synchronize.SemLock))


def _arenas() -> Iterator[_Arena]:
    for package in PACKAGES:
        heap = sys.modules.get(f"{package}.heap")
        if heap is None:
            continue
        of_all = heap.BufferWrapper._heap
        for arena in of_all._arenas:
            if of_all._allocated_blocks.get(arena) and arena.fd >= 0:
                address = ctypes.addressof(ctypes.c_char.from_buffer(arena.buffer))
                yield _Arena(arena, address, arena.size, arena.fd)
