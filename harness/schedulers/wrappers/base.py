"""What all wrappers have in common: they say of the search what the wrapped scheduler says."""

from __future__ import annotations

from collections.abc import Mapping

from harness.result import Execution
from harness.schedulers.base import Scheduler, View

__all__ = ["Wrapper"]


class Wrapper:
    """Does as *inner* does. What *inner* does not have is the least that can be said: nothing covered, no look ahead."""

    def __init__(self, inner: Scheduler) -> None:
        self.name = inner.name
        self._inner = inner
        self._look = getattr(inner, "ahead", None)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._inner!r}>"

    def start(self, previous: Execution | None) -> bool:
        """Return whether the wrapped scheduler has another execution."""
        return self._inner.start(previous)

    def choose(self, view: View) -> str | None:
        """Return what the wrapped scheduler chooses."""
        return self._inner.choose(view)

    def ahead(self, view: View) -> int:
        """Return how far the wrapped scheduler looks ahead."""
        return int(self._look(view)) if self._look is not None else 0

    @property
    def wants_states(self) -> bool:
        """Whether the wrapped scheduler wants to be told the state of each decision."""
        return bool(getattr(self._inner, "wants_states", False))

    @property
    def foreseen(self) -> int:
        """Executions that the wrapped scheduler did not run since all of them was known."""
        return int(getattr(self._inner, "foreseen", 0))

    @property
    def complete(self) -> bool:
        """Whether the wrapped scheduler has covered every interleaving."""
        return bool(getattr(self._inner, "complete", False))

    @property
    def cut(self) -> bool:
        """Whether it left out some beyond a bound of its own."""
        return bool(getattr(self._inner, "cut", False))

    @property
    def seen(self) -> float | None:
        """Which part of the tree it has seen, None where it can't say."""
        seen: float | None = getattr(self._inner, "seen", None)
        return seen

    @property
    def pct(self) -> Mapping[int, int]:
        """The executions for which PCT's guarantee holds, by depth."""
        made: Mapping[int, int] = getattr(self._inner, "pct", {})
        return made

    @property
    def stopped(self) -> str:
        """Why it ended although there was more to run, or an empty string."""
        return str(getattr(self._inner, "stopped", ""))
