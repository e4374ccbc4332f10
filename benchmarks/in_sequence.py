"""A scheduler that runs one call after the other, as the floor does, so that both make the same statements."""

from __future__ import annotations

from harness.result import Execution
from harness.schedulers.base import View, by_default

_ALWAYS = 1 << 20


class InSequence:
    """No preemption, execution after execution."""

    name = "in sequence"

    def start(self, previous: Execution | None) -> bool:
        """There is always another one."""
        return True

    def choose(self, view: View) -> str:
        """The task that runs goes on."""
        return by_default(view)

    def ahead(self, view: View) -> int:
        """It goes on for as long as it can."""
        return _ALWAYS
