"""The base class of all wrappers, which passes everything on to the wrapped scheduler."""

from __future__ import annotations

from harness.result import Execution
from harness.schedulers.base import Scheduler, SearchReport, View, report_of

__all__ = ["Wrapper"]


class Wrapper:
    """Passes all calls on to *inner*.

    For a scheduler without look-ahead or report it gives the most cautious ones: none, and that nothing is complete.
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

    def report(self) -> SearchReport:
        """Return the report of the wrapped scheduler."""
        return report_of(self._inner)
