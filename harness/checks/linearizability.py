"""Checks whether a history is linearizable: as if each operation took effect at one moment between its call and its return.

The idea of linearizability is Herlihy and Wing's ("Linearizability: A Correctness Condition for Concurrent Objects",
1990); the search is described in ``harness.checks.search``. Partitions are searched in turns (after Porcupine,
which searches them in parallel), so that a partition that is soon refuted does not wait for one that is hard.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

from harness.checks.operations import UNKNOWN, Operation, Raised, from_history
from harness.checks.search import DeadEnd, Search
from harness.checks.sequential import Spec, deterministic
from harness.errors import BadInput
from harness.verdict import Verdict, merge

__all__ = [
    "UNKNOWN",
    "DeadEnd",
    "Linearizability",
    "Operation",
    "Partition",
    "Raised",
    "Spec",
    "check",
    "deterministic",
    "from_history",
]

BUDGET = 1_000_000
FIRST_TURN, LONGEST_TURN = 64, 16_384
SHOWN = 8


@dataclass(frozen=True, slots=True)
class Partition:
    """The result of the search over one partition."""

    key: Hashable
    """The key that the specification's ``partition`` returned; None if the specification has no ``partition``."""
    verdict: Verdict
    operations: int
    """The number of operations in the partition."""
    steps: int
    """The number of placements that were tried."""
    order: tuple[Operation, ...] = ()
    """If valid: a linearization. Operations that never returned, and reads with an unknown result, may be missing."""
    dead_ends: tuple[DeadEnd, ...] = ()
    """If invalid: the orders that got furthest, one for each state that they ended in, at most three."""


@dataclass(frozen=True, slots=True)
class Linearizability:
    """The answer of ``check``: a verdict, the result for each partition, and the evidence in words."""

    spec: Spec
    verdict: Verdict
    partitions: tuple[Partition, ...]
    steps: int
    """The number of placements that were tried in all partitions together."""

    @property
    def valid(self) -> bool:
        """Whether the history is known to be linearizable."""
        return self.verdict is Verdict.VALID

    @property
    def refuted(self) -> Partition | None:
        """The partition that is not linearizable, if one was found."""
        return next((part for part in self.partitions if part.verdict is Verdict.INVALID), None)

    def explain(self) -> str:
        """Return the answer in words: one line, or several lines if the history is not linearizable."""
        if (part := self.refuted) is not None:
            return "\n".join(_refutation(part, self.spec))
        undecided = [part for part in self.partitions if part.verdict is Verdict.UNKNOWN]
        parts = f"{len(self.partitions)} partition{'s' * (len(self.partitions) != 1)}"
        if undecided:
            named = ", ".join(repr(part.key) for part in undecided[:SHOWN])
            return (
                f"Unknown whether linearizable as {self.spec.name}: after {self.steps} steps {len(undecided)} of "
                f"{parts} undecided ({named}{', ...' * (len(undecided) > SHOWN)}). Raise the budget, or check less."
            )
        return f"Linearizable as {self.spec.name}: {parts}, {self.steps} steps."


def check(
    operations: Iterable[Operation],
    spec: Spec,
    *,
    budget: int = BUDGET,
    seconds: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Linearizability:
    """Return whether *operations* are linearizable with respect to *spec*.

    The verdict is invalid as soon as one partition is refuted, valid when the operations of every partition are placed in
    an order, and unknown when *budget*, the number of placements tried in all partitions together, is used up before. It
    depends on the arguments alone, unless *seconds* is given: then it is also unknown when *clock* has advanced by that
    time.

    Partitions are searched in turns, which become longer. Raises ``BadInput`` for an operation that returned before it
    was invoked, and for a *budget* or *seconds* below zero. Exceptions that *spec* raises are passed on.
    """
    if budget < 0 or (seconds is not None and not seconds >= 0):
        raise BadInput(
            f"A check can't have a budget of {budget} steps and {seconds} seconds. "
            "Neither can be below zero: leave them out for the default, or give the check some work to do."
        )
    ends = None if seconds is None else clock() + seconds
    parts: dict[Hashable, list[Operation]] = {}
    for operation in operations:
        parts.setdefault(spec.partition(operation) if spec.partition else None, []).append(operation)
    searches = {key: Search(part, spec) for key, part in parts.items()}
    left, turn = budget, FIRST_TURN
    active = [search for search in searches.values() if search.verdict is Verdict.UNKNOWN]
    while active and left and (ends is None or clock() < ends):
        for search in active:
            left -= search.run(min(turn, left))
            if search.verdict is Verdict.INVALID:
                active = []
                break
            if not left or (ends is not None and clock() >= ends):
                break
        active = [search for search in active if search.verdict is Verdict.UNKNOWN]
        turn = min(2 * turn, LONGEST_TURN)
    found = tuple(_partition(key, len(parts[key]), search) for key, search in searches.items())
    return Linearizability(spec, merge(part.verdict for part in found), found, budget - left)


def _partition(key: Hashable, operations: int, search: Search) -> Partition:
    order = search.order if search.verdict is Verdict.VALID else ()
    dead_ends = tuple(search.dead_ends) if search.verdict is Verdict.INVALID else ()
    return Partition(key, search.verdict, operations, search.steps, order, dead_ends)


def _refutation(part: Partition, spec: Spec) -> Iterable[str]:
    where = "" if part.key is None else f", partition {part.key!r}"
    yield f"Not linearizable as {spec.name}{where} ({part.operations} operations)."
    for end in part.dead_ends:
        after = f"After {end.order[-1]}" if end.order else "At the very beginning"
        yield f"{after}, {end.stuck} cannot be placed: the state is {spec.describe(end.state)}."
        if len(end.order) > 1:
            left_out = f"({len(end.order) - SHOWN} before) ... " if len(end.order) > SHOWN else ""
            yield f"  order tried: {left_out}{'; '.join(map(str, end.order[-SHOWN:]))}"
        if others := [operation for operation in end.waiting if operation is not end.stuck]:
            more = f"; and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
            yield f"  could not help either: {'; '.join(map(str, others[:SHOWN]))}{more}"
