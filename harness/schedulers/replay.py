"""Replay: makes recorded choices, and raises ``Diverged`` where an execution departs from the recording."""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import Diverged
from harness.result import Execution
from harness.schedulers.base import PASS, View, by_default
from harness.values.history import Step
from harness.values.redaction import same
from harness.values.schedule import Schedule

__all__ = ["Replay"]


class Replay:
    """Makes the choices of *schedule*, in *times* executions.

    *digests* say what each recorded step was about to run: every step is compared with its digest, and ``Diverged`` is
    raised at the first that differs, or at the first choice that isn't possible. *moments* are the virtual times of the
    recorded steps, in seconds: where only a fault is possible, time passes until the next step's moment. If *lenient*
    is true, a choice that isn't possible is replaced by the default instead, as shrinking needs it.
    """

    name = "replay"

    def __init__(
        self,
        schedule: Schedule,
        digests: Sequence[str] = (),
        times: int = 1,
        *,
        lenient: bool = False,
        moments: Sequence[float] = (),
    ) -> None:
        self._choices, self._digests, self._moments = schedule.choices, digests, moments
        self._times, self._lenient = times, lenient
        self._compared = 0
        self._asked = -1

    def start(self, previous: Execution | None) -> bool:
        """Begin another repetition; return False after *times* of them."""
        self._times -= 1
        self._compared, self._asked = 0, -1
        return self._times >= 0

    def choose(self, view: View) -> str | None:
        """Return the recorded choice for this step."""
        number = len(view.steps)
        self.compare(view.steps)
        if number >= len(self._choices):
            if view.options[0].retries or view.options[0] == PASS:
                # The recording ended with a task asking for a lock in vain, or where only a fault was still possible.
                return view.options[0].choice
            if not self._lenient:
                options = ", ".join(option.choice for option in view.options)
                raise Diverged(number, "the end of the execution", f"the execution goes on; it could run {options}")
            return by_default(view)
        wanted = self._choices[number]
        if view.options[0] == PASS and number < len(self._moments) and view.now < self._moments[number]:
            return PASS.choice
        if any(option.choice == wanted for option in view.options):
            return wanted
        if self._lenient:
            return by_default(view)
        # Attempts to get a lock that fail are not recorded. So *wanted* may have asked there more often than here.
        if wanted in view.waiting and self._asked != number:
            self._asked = number
            return wanted
        for option in view.options:
            if option.retries or option == PASS:
                return option.choice
        expected = self._digests[number] if number < len(self._digests) else wanted
        options = ", ".join(option.choice for option in view.options)
        raise Diverged(number, expected, f"this cannot run now; what can: {options}")

    def ahead(self, view: View) -> int:
        """Return how often the recording repeats its next choice; 0 if lenient."""
        number = len(view.steps)
        choice = self._choices[number] if number < len(self._choices) else ""
        end = number + 1
        while end < len(self._choices) and self._choices[end] == choice:
            end += 1
        return 0 if self._lenient else end - number - 1

    def compare(self, steps: Sequence[Step]) -> None:
        """Raise ``Diverged`` at the first of *steps*, after those compared before, that differs from the recording.

        The engine calls this once more at the end: ``choose`` is not called after the last steps.
        """
        for number in range(self._compared, min(len(steps), len(self._digests))):
            if not same(self._digests[number], found := steps[number].digest):
                raise Diverged(number, self._digests[number], found)
        self._compared = len(steps)
