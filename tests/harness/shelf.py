"""A library that the harness does not know: a number in memory that processes share, behind methods and functions."""

from __future__ import annotations

import asyncio
import mmap
from pathlib import Path


class Shelf:
    """A number in a mapped file."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 1)

    def get(self) -> int:
        """Return it."""
        return self._memory[0]

    def put(self, number: int) -> None:
        """Change it."""
        self._memory[0] = number

    @staticmethod
    def add(shelf: Shelf, number: int) -> None:
        """Add to it, in one go."""
        shelf._memory[0] += number

    async def get_later(self) -> int:
        """Return it, having waited."""
        await asyncio.sleep(0)
        return self.get()


def put(shelf: Shelf, number: int) -> None:
    """Change it."""
    shelf._memory[0] = number
