"""The result of an uncontrolled run, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.verdict import Verdict

__all__ = ["Stressed", "Violation"]


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule: the number of ``turns`` that broke it (0 for a rule about the whole run), and the first message."""

    rule: str
    turns: int
    message: str


@dataclass(frozen=True, slots=True)
class Stressed:
    """The result of an uncontrolled run.

    ``turns`` counts the turns, ``calls`` the calls made in them, ``given_up`` the calls that a client abandoned, ``outcomes``
    the calls that ended in each way, ``kills`` the workers that were killed. ``seconds`` is the time for which clients called.
    ``happened`` counts, for each required event, the turns in which it occurred. ``reasons`` say why nothing can be concluded;
    it is empty otherwise. ``said`` has the last lines that the server wrote to standard error: warnings, which break no rule.
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
        """Invalid if a rule is broken, else unknown if there is a reason; valid means only that no broken rule was seen."""
        if self.violations:
            return Verdict.INVALID
        return Verdict.UNKNOWN if self.reasons else Verdict.VALID
