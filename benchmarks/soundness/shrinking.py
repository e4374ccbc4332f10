"""Shrinks a program that shows a difference: leaves out statements while the difference remains."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.soundness.program import Program

__all__ = ["shrunk"]


def shrunk(program: Program, wrong: Callable[[Program], bool], *, seconds: float = 120.0) -> Program:
    """Return the smallest program that was found from *program* in *seconds* of which *wrong* says that it still shows it.

    Each step tries what ``Program.smaller`` yields, the largest cuts first, until none is left that shows it.
    """
    ends = time.monotonic() + seconds
    tried: set[str] = set()
    while True:
        for smaller in program.smaller():
            if time.monotonic() > ends:
                return program
            if (text := smaller.to_json()) in tried:
                continue
            tried.add(text)
            if any(smaller.workers) and wrong(smaller):
                program = smaller
                break
        else:
            return program
