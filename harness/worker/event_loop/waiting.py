"""The waits in the memory of a worker while the controller does not decide: before the race and after it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from harness.boundary.wire import GO
from harness.worker.controlled_threads import Strand

__all__ = ["Waiting", "only_wait"]


class Waiting:
    """Controlled threads that wait, each for its ``wanted``, in the order of their waits."""

    def __init__(self) -> None:
        self._strands: list[Strand] = []

    def __repr__(self) -> str:
        return f"<Waiting strands={self._strands}>"

    def add(self, strand: Strand) -> None:
        """Add *strand* to the threads that wait."""
        self._strands.append(strand)

    def all(self) -> list[Strand]:
        """Return all waiting threads, and forget them."""
        found, self._strands = self._strands, []
        return found

    def released(self, resource: str) -> list[Strand]:
        """Return the threads that waited for *resource*, and forget them."""
        found = [strand for strand in self._strands if strand.wanted is not None and strand.wanted.resource == resource]
        for strand in found:
            strand.order = GO
            self._strands.remove(strand)
        return found

    def due(self, before: float) -> Strand | None:
        """Return the thread with the earliest deadline, and forget it; None if no deadline comes by *before* (in seconds)."""
        timed = [strand for strand in self._strands if strand.wanted is not None and strand.wanted.deadline < math.inf]
        first = min(
            timed, key=lambda strand: strand.wanted.deadline if strand.wanted is not None else 0.0, default=None
        )
        if first is None or first.wanted is None or first.wanted.deadline > before:
            return None
        self._strands.remove(first)
        return first


def only_wait(parked: Mapping[str, Strand], strand: Strand) -> bool:
    """Return whether all of *parked* but *strand* wait, without a deadline, for resources that only *strand* could release.

    A resource is taken for such if it has not been released since the wait for it began.
    """
    for other in parked.values():
        if other is not strand:
            wanted = other.wanted
            if wanted is None or not other.hopeless or wanted.deadline < math.inf:
                return False
    return True
