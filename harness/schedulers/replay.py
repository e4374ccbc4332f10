"""Replay: makes recorded choices, and says where an execution departs from the recording."""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import Diverged
from harness.result import Execution
from harness.schedule import Schedule
from harness.schedulers.base import View, by_default

__all__ = ["Replay"]


class Replay:
    """Makes the choices of *schedule*, *times* times over.

    With *digests* (what each recorded step was about to run) every step is compared, and ``Diverged`` is raised at
    the first that differs. Without (``lenient``), a choice that can't be made is replaced by the default, which
    is what shrinking wants.
    """

    name = "replay"

    def __init__(
        self, schedule: Schedule, digests: Sequence[str] = (), times: int = 1, lenient: bool = False
    ) -> None:
        self._choices, self._digests = schedule.choices, digests
        self._times, self._lenient = times, lenient

    def start(self, previous: Execution | None) -> bool:
        """Begin again, as often as was asked for."""
        self._times -= 1
        return self._times >= 0

    def choose(self, view: View) -> str | None:
        """Return the recorded choice for this step."""
        number = len(view.steps)
        self.compare(view.steps)
        if number >= len(self._choices):
            if not self._lenient:
                options = ", ".join(option.choice for option in view.options)
                raise Diverged(number, "the end of the execution", f"the execution goes on; it could run {options}")
            return by_default(view)
        wanted = self._choices[number]
        if any(option.choice == wanted for option in view.options):
            return wanted
        if self._lenient:
            return by_default(view)
        expected = self._digests[number] if number < len(self._digests) else wanted
        options = ", ".join(option.choice for option in view.options)
        raise Diverged(number, expected, f"this cannot run now; what can: {options}")

    def compare(self, steps: Sequence[object]) -> None:
        """Raise ``Diverged`` if the last of *steps* is not the recorded one; the engine asks for the very last too."""
        number = len(steps) - 1
        if 0 <= number < len(self._digests):
            found = steps[number].digest  # type: ignore[attr-defined]
            if found != self._digests[number]:
                raise Diverged(number, self._digests[number], found)
