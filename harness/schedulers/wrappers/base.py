"""The base class of all wrappers, which passes everything on to the wrapped scheduler."""

from __future__ import annotations

from collections.abc import Mapping

from harness.result import Execution
from harness.schedulers.base import Scheduler, View

__all__ = ["Wrapper"]


class Wrapper:
    """Passes all calls on to *inner*.

    For an attribute that *inner* does not have, it gives the most cautious value: not complete, no look-ahead.
    """

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
        """Return the choice of the wrapped scheduler."""
        return self._inner.choose(view)

    def ahead(self, view: View) -> int:
        """Return the look-ahead of the wrapped scheduler, 0 if it has none."""
        return int(self._look(view)) if self._look is not None else 0

    @property
    def wants_states(self) -> bool:
        """Whether the wrapped scheduler needs the state of each decision."""
        return bool(getattr(self._inner, "wants_states", False))

    @property
    def foreseen(self) -> int:
        """The number of executions that the wrapped scheduler predicted and so did not run."""
        return int(getattr(self._inner, "foreseen", 0))

    @property
    def complete(self) -> bool:
        """Whether the wrapped scheduler has covered every interleaving."""
        return bool(getattr(self._inner, "complete", False))

    @property
    def cut(self) -> bool:
        """Whether the wrapped scheduler left out interleavings beyond a bound of its own."""
        return bool(getattr(self._inner, "cut", False))

    @property
    def seen(self) -> float | None:
        """The wrapped scheduler's estimate of the part of the tree seen, from 0 to 1; None if it has none."""
        seen: float | None = getattr(self._inner, "seen", None)
        return seen

    @property
    def pct(self) -> Mapping[int, int]:
        """The number of executions for which PCT's guarantee holds, by depth."""
        made: Mapping[int, int] = getattr(self._inner, "pct", {})
        return made

    @property
    def stopped(self) -> str:
        """The reason why the search ended early, or an empty string."""
        return str(getattr(self._inner, "stopped", ""))
