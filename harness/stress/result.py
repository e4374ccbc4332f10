"""The result of an uncontrolled run, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.verdict import Verdict

__all__ = ["Stressed", "Violation"]


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule: the number of ``turns`` that broke it (0: it is about the whole), and the first message."""

    rule: str
    turns: int
    message: str


@dataclass(frozen=True, slots=True)
class Stressed:
    """An uncontrolled run.

    ``turns`` is how often the calls of a turn were made, ``calls`` how many that came to, ``given_up`` how many of them
    their client abandoned, ``outcomes`` how many ended in which way. ``kills`` counts the workers that were killed.
    ``seconds`` is how long clients called, ``happened`` in how many turns what must happen did. ``reasons`` say why
    nothing can be concluded, where that is so. ``said`` is the end of what the server wrote to standard error: warnings, which
    break no rule.
    """

    scenario: str
    variant: str
    workers: int
    clients: int
    seed: int
    turns: int
    calls: int
    given_up: int
    kills: int
    seconds: float
    outcomes: Mapping[str, int] = field(default_factory=dict)
    happened: Mapping[str, int] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()
    reasons: tuple[str, ...] = ()
    said: str = ""

    @property
    def verdict(self) -> Verdict:
        """Invalid where a rule broke, unknown where there is a reason; valid says only that nothing was seen."""
        if self.violations:
            return Verdict.INVALID
        return Verdict.UNKNOWN if self.reasons else Verdict.VALID
