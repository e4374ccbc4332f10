"""Pairs of conflicting operations that met in an execution, each with its order."""

from __future__ import annotations

from functools import lru_cache

from harness.result import Execution
from harness.values.history import Access, Source, Step

__all__ = ["Pair", "operation", "orders"]

Pair = tuple[str, str]
"""Two conflicting operations of different tasks, the earlier one first."""

_WRITES = ("w", "o")
_OF_TIME = ("clock", "dated", "dates")


def operation(step: Step) -> str:
    """Return the operation of *step*, equal in every task: its kind, its text, and its source line."""
    return _operation(step.kind, step.text, step.source)


@lru_cache(4_096)
def _operation(kind: str, text: str, source: Source | None) -> str:
    place = f" {source.file}:{source.line}" if source else ""
    return f"{kind} {text}{place}"


def orders(execution: Execution) -> set[Pair]:
    """Return every pair of conflicting operations that followed each other on some resource.

    As reads-from pairs do (Wolff and others, "Greybox fuzzing for concurrency testing", ASPLOS 2024), they tell interleavings
    apart by what makes a difference. Processes and time are no resources here.
    """
    found: set[Pair] = set()
    last_write: dict[str, Step] = {}
    reads: dict[str, list[Step]] = {}
    for step in execution.steps:
        for access in step.accesses:
            if access.mode == "a" or access.what.is_memory or access.resource in _OF_TIME:
                continue
            found.update((operation(other), operation(step)) for other in _met(access, step, last_write, reads=reads))
            if access.mode in _WRITES:
                last_write[access.resource] = step
                reads[access.resource] = []
            else:
                reads.setdefault(access.resource, []).append(step)
    return found


def _met(access: Access, step: Step, last_write: dict[str, Step], *, reads: dict[str, list[Step]]) -> list[Step]:
    others = [last_write[access.resource]] if access.resource in last_write else []
    if access.mode in _WRITES:
        others += reads.get(access.resource, [])
    return [other for other in others if other.lane != step.lane]
