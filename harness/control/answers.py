"""Remembers what rules answered, as long as all that they looked at is compared."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from harness.control.rule_state import own_state
from harness.control.window import Window
from harness.scenario import Check

__all__ = ["Answers"]

_REMEMBERED = 20_000
_WATCHED = 30
"""How many times rules are asked before it is believed that they keep nothing from one time to the next."""


class Answers:
    """The answers of a scenario's rules by what they were given, and by the time if they looked at a clock.

    Rules that looked elsewhere once (see ``Window``), or that keep something of their own between two times, are
    asked each time from then on.
    """

    def __init__(self) -> None:
        self._known: dict[object, Any] = {}
        self._always: set[str] = set()
        self._asked: dict[str, int] = {}
        self._changed: set[str] = set()

    @property
    def look_elsewhere(self) -> bool:
        """Whether some rule depends on more than the shared state, the time and what clients were told."""
        return bool(self._always)

    def forget(self) -> None:
        """Remember no answer from before."""
        self._known.clear()

    def get(
        self,
        group: str,
        checks: Sequence[Check],
        key: Hashable,
        window: Callable[[], Window],
        ask: Callable[[], Any],
        moment: float,
    ) -> Any:
        """Return what *ask* answers, which asks *checks* (called *group*), or has answered when all was as *key* says.

        *moment* is the virtual time, *window* makes the place in which they are asked. What *ask* raises is not remembered.
        """
        whole = group, key
        if group not in self._always:
            for known in (whole, (whole, moment)):
                if known in self._known:
                    return self._known[known]
        asked = self._asked[group] = self._asked.get(group, 0) + 1
        watched = asked <= _WATCHED
        before = own_state(checks) if watched else ""
        with window() as looking:
            answer = ask()
        keeps = watched and own_state(checks) != before
        if looking.elsewhere or (keeps and group in self._changed):
            self._always.add(group)
        if keeps:
            # Once may have been a cache that was filled.
            self._changed.add(group)
        elif not looking.elsewhere:
            self._remember((whole, moment) if looking.clock else whole, answer)
        return answer

    def _remember(self, key: object, answer: Any) -> None:
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        self._known[key] = answer
