"""Draws random programs: a file for each family."""

from __future__ import annotations

from random import Random

from benchmarks.soundness.draw import files, sql
from benchmarks.soundness.program import Program

__all__ = ["FAMILIES", "draw"]

FAMILIES = {"sql": (sql.draw, 3), "files": (files.draw, 3)}
"""What draws a family's programs, and how many parts of all they are."""


def draw(seed: int, only: tuple[str, ...] = ()) -> Program:
    """Return the program of *seed*, of a family that the seed chooses, or of one of *only*."""
    random = Random(seed)
    names = [name for name in FAMILIES if not only or name in only]
    family = random.choices(names, [FAMILIES[name][1] for name in names])[0]
    return FAMILIES[family][0](random, seed)
