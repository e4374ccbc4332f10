"""Which writes of an open transaction a step took back: a ROLLBACK of another task on the same connection, or a kill.

SQLite lets one connection write to a file at a time. So whatever a worker writes without asking for a lock, while it has one,
goes over the connection that has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from harness.values.history import Step

__all__ = ["Undone", "undone"]

_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")


class Undone(NamedTuple):
    """The step number ``at`` undid writes of the steps ``writes``."""

    at: int
    writes: tuple[int, ...]


def undone(steps: Sequence[Step]) -> tuple[Undone, ...]:
    """Return each kill that took writes back, and each ROLLBACK that took back those of another client."""
    open_writes: dict[int, list[int]] = {}
    found = []
    for number, step in enumerate(steps):
        locks = any(access.mode == "w" and access.what.is_lock for access in step.accesses)
        writes = open_writes.get(step.worker)
        if step.kind == "sql" and not (step.error or step.waited or _wrote(step)):
            written = [number] if step.text.lstrip().partition(" ")[0].upper() in _WRITES else []
            if writes is not None and not locks:
                writes += written
            elif locks:
                open_writes[step.worker] = written
        elif step.kind == "kill" and writes:
            found.append(Undone(number, tuple(writes)))
            del open_writes[step.worker]
        elif step.kind in ("commit", "rollback") and locks and writes is not None:
            others = tuple(each for each in writes if steps[each].task.client != step.task.client)
            if step.kind == "rollback" and others:
                found.append(Undone(number, others))
            del open_writes[step.worker]
    return tuple(found)


def _wrote(step: Step) -> bool:
    """Return whether *step* changed data for good: it was a transaction of its own."""
    return any(access.writes_data for access in step.accesses)
