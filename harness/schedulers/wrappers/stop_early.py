"""Stops a search that has shown nothing new for a while."""

from __future__ import annotations

from harness.errors import BadInput
from harness.result import Execution
from harness.schedulers.base import Scheduler
from harness.schedulers.wrappers.base import Wrapper
from harness.survey import Survey

__all__ = ["StopEarly", "stale"]


def stale(survey: Survey, after: int | None) -> str:
    """Return the limit that is hit where *after* executions in a row have shown nothing new, or an empty string."""
    return f"{after} executions in a row that showed nothing new" if after and survey.since_new >= after else ""


class StopEarly(Wrapper):
    """Ends after *after* executions in a row without a new pair of conflicting operations, answer or state.

    That is a limit, never an end of the search: ``stopped`` then names it, and ``complete`` is False. *survey* is one that
    counts the executions already, before ``start`` is told of them; without, it has one of its own. Raises ``BadInput`` for
    an *after* of less than 1.
    """

    def __init__(self, inner: Scheduler, after: int, survey: Survey | None = None) -> None:
        super().__init__(inner)
        if after < 1:
            raise BadInput(f"Stopping after {after} executions without anything new allows none: give 1 or more.")
        self._after, self._counts = after, survey is None
        self._survey = survey or Survey()
        self._stopped = ""

    def start(self, previous: Execution | None) -> bool:
        """Return whether there is another execution, and it is worth while."""
        if previous is not None and self._counts:
            self._survey.count(previous)
        if not self._stopped:
            self._stopped = stale(self._survey, self._after)
        # The wrapped one is not asked any more: it would take what it answers for begun.
        return not self._stopped and self._inner.start(previous)

    @property
    def complete(self) -> bool:
        """Whether every interleaving was covered, which nobody knows who stopped before the end."""
        return not self._stopped and super().complete

    @property
    def stopped(self) -> str:
        """The limit that was hit, or an empty string."""
        return self._stopped or super().stopped
