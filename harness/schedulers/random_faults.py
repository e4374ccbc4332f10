"""Random faults in sampled executions: at random steps, each kind of fault as likely as any other."""

from __future__ import annotations

import random
from collections.abc import Sequence

from harness.schedulers.base import Option, View
from harness.values.names import Choice

__all__ = ["RandomFaults"]

_MOST = 2
_FIRST_LENGTH = 20
"""The assumed number of steps of an execution, until one was seen."""


class RandomFaults:
    """Draws zero to two steps at which faults come for each execution, uniformly over the usual length of executions.

    So a fault comes late as often as early, however many steps there are. A kind of fault that is possible in many
    places does not crowd out one that is possible in few: the kind is drawn first, then the fault.
    """

    def __init__(self, generator: random.Random) -> None:
        self._random = generator
        self.length = _FIRST_LENGTH
        self._points: list[int] = []

    def start(self, length: int) -> None:
        """Begin an execution; the one before had *length* steps (0 for none)."""
        if length:
            # Adapt slowly: a few long executions must not move all faults past the end of the others.
            self.length = max((3 * self.length + length) // 4, 1)
        count = self._random.randrange(_MOST + 1)
        # Not randrange(length), which may take more numbers off the stream for some lengths: later draws must not
        # depend on the length.
        self._points = sorted((int(self._random.random() * self.length) for _ in range(count)), reverse=True)

    def due(self, view: View) -> str | None:
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
            kinds.setdefault(Choice(option.choice).head, []).append(option.choice)
        return self._random.choice(kinds[self._random.choice(sorted(kinds))])

    def quiet(self, view: View) -> int:
        """Return for how many more steps no fault will be due."""
        if not view.faults_left or not self._points:
            return 1_000
        return max(self._points[-1] - len(view.steps) - 1, 0)


def possible_faults(options: Sequence[Option]) -> list[Option]:
    """Return the faults among *options*, which has all faults at its end."""
    return [option for option in options if option.fault] if options[-1].fault else []
