"""Stops a search that has shown nothing new for a while."""

from __future__ import annotations

from dataclasses import replace

from harness.coverage.collector import Survey
from harness.errors import BadInput
from harness.result import Execution
from harness.schedulers.base import Scheduler, SearchReport
from harness.schedulers.wrappers.base import Wrapper

__all__ = ["StopEarly", "stale"]


def stale(survey: Survey, after: int | None) -> str:
    """Return the name of the limit if the last *after* executions have shown nothing new, else an empty string."""
    return f"{after} executions in a row that showed nothing new" if after and survey.since_new >= after else ""


class StopEarly(Wrapper):
    """Stops after *after* executions in a row without a new pair of conflicting operations, answer or state.

    This is a limit, not the end of the search: the report then names it, and is not complete. *survey*, if
    given, must count each execution before ``start`` is told of it; without it, the wrapper counts in a survey of its
    own. Raises ``BadInput`` if *after* is less than 1.
    """

    def __init__(self, inner: Scheduler, after: int, survey: Survey | None = None) -> None:
        super().__init__(inner)
        if after < 1:
            raise BadInput(f"Stopping after {after} executions without anything new allows none: give 1 or more.")
        self._after, self._counts = after, survey is None
        self._survey = survey or Survey()
        self._stopped = ""

    def start(self, previous: Execution | None) -> bool:
        """Return whether there is another execution and the limit is not hit."""
        if previous is not None and self._counts:
            self._survey.count(previous)
        if not self._stopped:
            self._stopped = stale(self._survey, self._after)
        # After the limit, don't ask the wrapped scheduler: it would count an execution as begun that is never run.
        return not self._stopped and self._inner.start(previous)

    def report(self) -> SearchReport:
        """Return the report of the wrapped scheduler; after the limit, the search is not complete."""
        inner = super().report()
        return replace(inner, complete=False, stopped=self._stopped) if self._stopped else inner
