"""When faults come in a sampled execution: at random steps, each kind as likely as any other."""

from __future__ import annotations

import random
from collections.abc import Sequence

from harness.schedulers.base import Option, View

__all__ = ["Storm"]

_MOST = 2
_FIRST_LENGTH = 20
"""Steps that an execution is taken to have before one was seen."""


class Storm:
    """Draws none to two steps for each execution, evenly over the length that executions were seen to have.

    So a fault comes late as often as early, however many steps there are, and a kind that could strike in many
    places does not crowd out one that could strike in few.
    """

    def __init__(self, generator: random.Random) -> None:
        self._random = generator
        self.length = _FIRST_LENGTH
        self._points: list[int] = []

    def start(self, length: int) -> None:
        """Begin an execution; the one before had *length* steps (0 for none)."""
        if length:
            # Slowly, as a few long executions must not move all faults to where the others have ended.
            self.length = max((3 * self.length + length) // 4, 1)
        count = self._random.randrange(_MOST + 1)
        # Always as many numbers off the stream, so that what else is drawn from it does not depend on the length.
        self._points = sorted((int(self._random.random() * self.length) for _ in range(count)), reverse=True)

    def strikes(self, view: View) -> str | None:
        """Return the fault to inject now, if one is due and possible."""
        faults = possible_faults(view.options)
        if not faults:
            return None
        if not (self._points and len(view.steps) >= self._points[-1]) and len(faults) < len(view.options):
            return None
        if self._points:
            self._points.pop()
        kinds: dict[str, list[str]] = {}
        for option in faults:
            kinds.setdefault(option.choice.partition(":")[0], []).append(option.choice)
        return self._random.choice(kinds[self._random.choice(sorted(kinds))])

    def quiet(self, view: View) -> int:
        """Return for how many more steps none will be due."""
        if not view.faults_left or not self._points:
            return 1_000
        return max(self._points[-1] - len(view.steps) - 1, 0)


def possible_faults(options: Sequence[Option]) -> list[Option]:
    """Return those of *options* that are faults; they come last."""
    return [option for option in options if option.fault] if options[-1].fault else []
