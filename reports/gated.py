"""What a gate came to, as a value that every form of report is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.counterexample import Counterexample
from harness.verdict import Verdict
from reports.table import GateRow

__all__ = ["Gated", "as_data"]


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


def as_data(gated: Gated) -> dict[str, Any]:
    """Return *gated* as plain data."""
    return {
        "verdict": str(gated.verdict),
        "as_expected": len(gated.rows) - gated.wrong,
        "seconds": round(gated.seconds, 3),
        "left_out": dict(gated.left_out),
        "rows": [
            {
                **asdict(row),
                "variant": row.variant or None,
                "known": row.known or None,
                "counterexample": gated.files.get(number),
            }
            for number, row in enumerate(gated.rows)
        ],
    }
