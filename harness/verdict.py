"""Three-valued verdicts and the one rule by which they merge (after Jepsen's checkers)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

__all__ = ["Verdict", "merge"]


class Verdict(StrEnum):
    """The conclusion of a check, an execution or a run. ``UNKNOWN`` is never a pass."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


_SEVERITY = {Verdict.VALID: 0, Verdict.UNKNOWN: 1, Verdict.INVALID: 2}


def merge(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the most severe of *verdicts*: invalid beats unknown beats valid; nothing at all is valid."""
    return max(verdicts, key=_SEVERITY.__getitem__, default=Verdict.VALID)
