"""What a gate came to, as a value that every form of report is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.counterexample import Counterexample
from harness.verdict import Verdict
from reports.table import GateRow

__all__ = ["Gated"]


@dataclass(frozen=True, slots=True)
class Gated:
    """A gate that has run.

    ``found`` has for the number of a row the counterexample that it ended with, and ``files`` its file. ``left_out`` are
    scenarios that were not run, and why. ``root`` is the folder from which paths of source are shown.
    """

    rows: Sequence[GateRow]
    verdict: Verdict
    seconds: float
    found: Mapping[int, Counterexample] = field(default_factory=dict)
    files: Mapping[int, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    root: str = "."

    @property
    def wrong(self) -> int:
        """How many rows did not come as expected."""
        return sum(not row.as_expected for row in self.rows)
