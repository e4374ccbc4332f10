"""The strategies that a run can be given by name, and the scheduler that each name stands for."""

from __future__ import annotations

from collections.abc import Callable

from harness.schedulers.base import Scheduler
from harness.schedulers.greybox import Greybox
from harness.schedulers.pct import PCT
from harness.schedulers.portfolio import Portfolio
from harness.schedulers.pos import POS
from harness.schedulers.random_walk import RandomWalk
from harness.schedulers.tree.exhaustive import Exhaustive
from harness.schedulers.tree.stateful import Stateful

__all__ = ["DEFAULT_EXECUTIONS", "SCHEDULERS", "scheduler_named"]

SCHEDULERS = {
    "portfolio": "the cheapest interleavings in full, then samples in turns with further ones",
    "exhaustive": "every interleaving, equivalent ones once; fewest preemptions first",
    "random": "a uniform random walk",
    "pct": "random priorities, lowered at two random steps (depth 3)",
    "greybox": "executions that showed something new, varied",
    "pos": "a random priority for each operation, drawn anew where it conflicts with what ran",
    "hypothesis": "interleavings and workloads drawn, shrunk and remembered by Hypothesis",
    "brute": "every interleaving without reduction; what the reduction is tested against",
}
DEFAULT_EXECUTIONS = {"portfolio": 20_000, "exhaustive": 20_000, "brute": 20_000}
"""The most executions of a run that is given no budget, where they are not 1,000."""


def scheduler_named(name: str, seed: int, preemptions: int | None, *, depth: int) -> Scheduler:
    """Return the scheduler that *name* stands for, seeded with *seed*; *depth* is that of ``pct``."""
    makers: dict[str, Callable[[], Scheduler]] = {
        "portfolio": lambda: Portfolio(seed) if preemptions is None else Exhaustive(preemptions=preemptions),
        "random": lambda: RandomWalk(seed),
        "pct": lambda: PCT(seed, depth),
        "pos": lambda: POS(seed),
        "greybox": lambda: Greybox(seed),
    }
    if name in makers:
        return makers[name]()
    return Stateful() if name == "exhaustive" and preemptions is None else Exhaustive(name == "exhaustive", preemptions)
