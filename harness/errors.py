"""The errors that users of the harness can meet. Each message says the error, its value, the likely cause and a remedy."""

from __future__ import annotations

__all__ = ["BadInput", "Diverged", "HarnessError", "SetupFailed", "Unjudged", "Unsupported", "require_asserts"]


class HarnessError(Exception):
    """Base of every error the harness raises on purpose."""


class BadInput(HarnessError):
    """Something the user gave can't be used: an unknown scenario, a nonsense budget, a corrupt file."""


class Unsupported(HarnessError):
    """This machine lacks something the harness can't do without."""


class SetupFailed(HarnessError):
    """The code under test failed before any race began: in ``setup``, or while a worker opened its application."""


class Unjudged(HarnessError):
    """An execution can't be judged, so the verdict is unknown: a worker is stuck, a rule is broken itself, memory is short."""


class Diverged(HarnessError):
    """A replay met something else than was recorded.

    ``step`` is the number of the step (from 0) at which the recording and the execution part, ``expected``
    and ``found`` say what each has there.
    """

    def __init__(self, step: int, expected: str, found: str) -> None:
        self.step, self.expected, self.found = step, expected, found
        super().__init__(
            f"The replay departs from the recording at step {step}.\n"
            f"  recorded: {expected}\n"
            f"  now:      {found}\n"
            "Usual causes: the code under test or its data changed; it uses a source of randomness, time or "
            "ordering that the harness does not control (a set or dict of strings whose order depends on "
            "PYTHONHASHSEED, id(), a file outside the shared directory, a thread of its own, the network); "
            "or state that outlives an execution in a module, where the processes were not fresh ones (isolation='fork')."
        )


def require_asserts() -> None:
    """Raise ``BadInput`` where Python leaves out every ``assert``: rules would hold whatever happened."""
    if not __debug__:
        raise BadInput(
            "Python runs with -O (or PYTHONOPTIMIZE is set), which leaves out every assert: rules would never be broken. "
            "Run it without."
        )
