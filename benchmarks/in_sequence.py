"""A scheduler that runs one call after the other, as the floor does, so that both execute the same statements."""

from __future__ import annotations

from harness.result import Execution
from harness.schedulers.base import View, by_default

_ALWAYS = 1 << 20


class InSequence:
    """Makes no preemption, in any execution."""

    name = "in sequence"

    def start(self, previous: Execution | None) -> bool:
        """Return True: there is always another execution."""
        return True

    def choose(self, view: View) -> str:
        """Return the running task, as long as it is enabled."""
        return by_default(view)

    def ahead(self, view: View) -> int:
        """Return a number of steps that is longer than any task: the running task goes on for as long as it can."""
        return _ALWAYS
