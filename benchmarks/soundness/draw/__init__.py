"""Draws random programs: a file for each family."""

from __future__ import annotations

from random import Random

from benchmarks.soundness.draw import files, locks, sql, tasks, threads, timed
from benchmarks.soundness.program import Program

__all__ = ["FAMILIES", "draw"]

FAMILIES = {
    "sql": (sql.draw, 3),
    "files": (files.draw, 3),
    "locks": (locks.draw, 1),
    "threads": (threads.draw, 1),
    "tasks": (tasks.draw, 2),
    "timed": (timed.draw, 1),
    "impatient": (sql.draw_impatient, 0),
}
"""What draws a family's programs, and how many parts of all they are; with 0 they are drawn only when asked for by name."""


def draw(seed: int, only: tuple[str, ...] = ()) -> Program:
    """Return the program of *seed*, of a family that the seed chooses, or of one of *only*."""
    random = Random(seed)
    names = only or tuple(name for name in FAMILIES if FAMILIES[name][1])
    family = random.choices(names, [FAMILIES[name][1] or 1 for name in names])[0]
    return FAMILIES[family][0](random, seed)
